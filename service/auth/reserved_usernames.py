"""Reserved names, which sign-up refuses, and names that look like one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from unicodedata import category, normalize

from service.auth.errors import FieldCode, InvalidField
from service.auth.usernames import Username

# What is written for a letter, besides the characters that look like it. `l` and `i` are one, for
# `1` and `!` stand for both.
_WRITTEN_FOR = {
    "o": "0",
    "i": "1!|l",
    "e": "3",
    "a": "4@",
    "s": "5$",
    "t": "7+",
    "b": "8",
    "g": "9",
}
_PAIRS = {"rn": "m", "vv": "w"}


class UsernamePolicy:
    """Which user names a person can choose: valid ones that are not reserved.

    An operator can create users with reserved names, by `Username.parse`.
    """

    def __init__(self, reserved: Iterable[str]) -> None:
        self._reserved = {lookalike_form(name) for name in reserved}

    def accept(self, text: str) -> Username:
        """Validate a new user name. Raises `InvalidField`."""
        username = Username.parse(text)
        if lookalike_form(username.name) in self._reserved:
            raise InvalidField(FieldCode.RESERVED, "Username is reserved: choose another one.")
        return username


def lookalike_form(text: str) -> str:
    """Return the form in which names that look alike are the same: ``Ad-min`` and ``4dm1n``.

    It follows the skeleton of UTS 39, section 4, and goes further: accents, punctuation and digits
    in place of letters make no difference.
    """
    letters = normalize("NFKD", text.casefold()).translate(_lookalikes())
    form = "".join(character for character in letters if category(character)[0] in "LN")
    for pair, letter in _PAIRS.items():
        form = form.replace(pair, letter)
    return form


@cache
def _lookalikes() -> dict[int, str]:
    return {ord(character): letter for letter, all_of_it in _lines() for character in all_of_it}


def _lines() -> Iterator[tuple[str, str]]:
    text = files("service.auth").joinpath("lookalikes.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if not line.startswith("#!"):
            letter, _, characters = line.partition(" ")
            # Both `l` and what looks like it are written for `i`.
            yield ("i" if letter == "l" else letter), characters
    yield from _WRITTEN_FOR.items()
