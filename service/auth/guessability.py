"""How hard a password is to guess, where it is made of what attackers try first.

A password is split into parts so that the sum of their points is the lowest. A common word has
2 points, also with digits and symbols in place of letters. A sequence such as ``abc`` or ``!!!``, a
walk over the keyboard and a year have 1 point. Any other character of ASCII has 1 point, and any
beyond it 2. It is the method of Microsoft Entra ID's password protection, with other figures.

The password as a whole is judged, as NIST SP 800-63B-4 requires (section 3.1.1.2): one is not
refused because a common word is in it, but because little else is.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from itertools import pairwise
from unicodedata import category, normalize

# Four common words have 8 points, and so have eight characters without any pattern.
MIN_POINTS = 6

_WORD, _PATTERN = 2, 1
_SHORTEST_WORD, LONGEST_PART = 4, 32

# Longer runs of a character are shortened to the longest part.
_LONG_RUN = re.compile(rf"(.)\1{{{LONGEST_PART},}}", re.DOTALL)
_YEAR = re.compile("(?:19|20)[0-9]{2}")

# Keys beside and below each other, on the keyboards of several countries.
_ROWS = [
    "`1234567890-=",
    "~!@#$%^&*()_+",
    "qwertyuiop[]",
    "qwertzuiopü+",
    "azertyuiop^$",
    "asdfghjkl;'",
    "qsdfghjklm",
    "zxcvbnm,./",
    "yxcvbnm,.-",
    "wxcvbn,;:!",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
    "!qaz@wsx#edc$rfv%tgb^yhn&ujm*ik",
    "zaq1xsw2cde3vfr4bgt5nhy6mju7",
    "qazwsxedcrfvtgbyhnujmikolp",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "147258369",
    "159357",
    "789456123",
    "йцукенгшщзхъ",
    "фывапролджэ",
    "ячсмитьбю",
]
_WALKS = "\n".join([*_ROWS, *(row[::-1] for row in _ROWS)])
_SHORTEST_WALK, _SHORTEST_SEQUENCE = 4, 3

_SUBSTITUTES = str.maketrans("@4€3!10$57+89|", "aaeeiiosstt" + "bgi")


def guess_points(password: str, *vocabularies: Container[str]) -> int:
    """Return the points of a password; below `MIN_POINTS` it is too easy to guess.

    The words of the vocabularies are case-folded. Points above `MIN_POINTS` are not counted.
    """
    text = simplified(password)
    unit = _repeated_unit(text)
    if len(unit) < len(text):
        return _PATTERN + _points(unit, vocabularies)
    return _points(text, vocabularies)


def spellings(text: str) -> list[str]:
    """Return a simplified text as it is, and with letters for what is written in their place.

    All have the same length. ``1`` and its like stand for ``i`` or for ``l``.
    """
    letters = text.translate(_SUBSTITUTES)
    other = "".join(
        "l" if written in "1!|" else letter for written, letter in zip(text, letters, strict=True)
    )
    return list(dict.fromkeys([text, letters, other]))


def simplified(text: str) -> str:
    """Return a text without differences of case and width, and without invisible characters."""
    folded = normalize("NFKC", text).casefold()
    return "".join(each for each in folded if category(each) not in {"Cf", "Mn", "Me"})


def _points(text: str, vocabularies: tuple[Container[str], ...]) -> int:
    """Return the lowest sum of points, by dynamic programming from the left."""
    text = _LONG_RUN.sub(lambda run: run[1] * LONGEST_PART, text)
    written = spellings(text)
    lowest = [0] + [MIN_POINTS] * len(text)
    for start in range(len(text)):
        if lowest[start] < MIN_POINTS:
            for length, points in _parts(text, written, start, vocabularies):
                end = start + length
                lowest[end] = min(lowest[end], lowest[start] + points)
    return lowest[-1]


def _parts(
    text: str, written: list[str], start: int, vocabularies: tuple[Container[str], ...]
) -> Iterator[tuple[int, int]]:
    """Return the parts that begin at ``start``: the length and the points of each."""
    yield 1, 1 if text[start].isascii() else 2
    for spelling in written:
        for end in range(start + _SHORTEST_WORD, min(start + LONGEST_PART, len(text)) + 1):
            word = spelling[start:end]
            for vocabulary in vocabularies:
                if word in vocabulary:
                    yield end - start, _WORD
    for length in range(_SHORTEST_WALK, _walk_length(text, start) + 1):
        yield length, _PATTERN
    for length in range(_SHORTEST_SEQUENCE, _sequence_length(text, start) + 1):
        yield length, _PATTERN
    if _YEAR.match(text, start):
        yield 4, _PATTERN


def _walk_length(text: str, start: int) -> int:
    """Return the length of the longest keyboard walk, or less than the shortest."""
    length = 0
    while length < min(LONGEST_PART, len(text) - start):
        if text[start : start + length + 1] not in _WALKS:
            break
        length += 1
    return length


def _sequence_length(text: str, start: int) -> int:
    """Return the length of the longest sequence such as ``abc``, ``987`` or ``!!!``."""
    steps = [ord(b) - ord(a) for a, b in pairwise(text[start : start + LONGEST_PART])]
    if not steps or abs(steps[0]) > 1:
        return 1
    return next((at for at, step in enumerate(steps) if step != steps[0]), len(steps)) + 1


def _repeated_unit(text: str) -> str:
    """Return the shortest text that, repeated, is the whole text."""
    period = (text + text).find(text, 1)
    return text[:period] if text else text
