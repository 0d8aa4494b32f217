"""Passwords: which are the same, and which are accepted.

The sources are RFC 8265, section 4, and NIST SP 800-63B-4, section 3.1.1.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Self
from unicodedata import category, normalize

import regex

from service.auth.errors import FieldCode, FieldError, InvalidField, ValidationFailed
from service.auth.guessability import MIN_POINTS, guess_points, simplified, spellings
from service.auth.usernames import Username
from service.settings.passwords import PasswordSettings

MIN_LENGTH = 8
MAX_LENGTH = 256

# For log-in: another system may have allowed longer passwords.
MAX_CLAIMED_LENGTH = 1024

# User names and context words below this length are too often part of other words.
MIN_WORD_LENGTH = 4

_SPACES = dict.fromkeys(map(ord, "\u00a0\u1680\u202f\u205f\u3000"), " ") | dict.fromkeys(
    range(0x2000, 0x200B), " "
)

# General categories that are not allowed, as messages to users.
_DISALLOWED = {
    "Cc": "Password must not contain control characters, such as tabs.",
    "Cn": "Password must not contain characters that Unicode does not define.",
    "Co": "Password must not contain private-use characters.",
    "Cs": "Password must not contain half of a surrogate pair.",
    "Zl": "Password must not contain line separators.",
    "Zp": "Password must not contain paragraph separators.",
}

# Emoji that are newer than Python's version of Unicode; normalization never changes them.
_NEW_EMOJI = regex.compile(r"\p{Extended_Pictographic}")


class Password:
    """A password that was typed. Its ``repr`` hides it.

    ``text`` is what was typed, for legacy hashes; ``prepared`` is the input of Argon2id, and
    ``None`` where the password has characters that are not allowed.
    """

    __slots__ = ("prepared", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.prepared: str | None = None if _disallowed(text) else _prepare(text)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    @property
    def forms(self) -> list[str]:
        """The strings an Argon2 hash may be made of.

        They are the prepared form, the one of oslo, and what was typed, of which Django and
        Keycloak make theirs.
        """
        forms = [self.prepared, normalize("NFKC", self.text), self.text]
        return [form for form in dict.fromkeys(forms) if form is not None]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a password to be verified. Raises `InvalidField` if it is empty or too long."""
        if not text:
            raise InvalidField(FieldCode.TOO_SHORT, "Password must not be empty.")
        if len(text) > MAX_CLAIMED_LENGTH:
            raise InvalidField(
                FieldCode.TOO_LONG,
                f"Password must be at most {MAX_CLAIMED_LENGTH} characters long.",
            )
        return cls(text)


class NewPassword(Password):
    """A password that was accepted; only `PasswordPolicy.accept` creates one."""

    __slots__ = ()
    prepared: str


class PasswordPolicy:
    """Which passwords are accepted: those that are long enough and not easy to guess.

    There are no composition rules, which make passwords weaker (NIST SP 800-63B-4).
    """

    def __init__(self, settings: PasswordSettings | None = None) -> None:
        settings = settings or PasswordSettings()
        self._min_length = settings.min_length
        self._context_words = {simplified(word) for word in settings.context_words}

    def accept(self, text: str) -> NewPassword:
        """Validate a new password. Raises `InvalidField`."""
        if len(text) > MAX_CLAIMED_LENGTH:
            raise self._too_long()
        password = NewPassword(text)
        if reason := _disallowed(text):
            raise InvalidField(FieldCode.NOT_ALLOWED, reason)
        if len(password.prepared) < self._min_length:
            raise self._too_short()
        if len(password.prepared) > MAX_LENGTH:
            raise self._too_long()
        words = (common_passwords(), self._context_words)
        if guess_points(password.prepared, *words) < MIN_POINTS:
            raise InvalidField(
                FieldCode.TOO_COMMON,
                "Password is too easy to guess: it is a common one, or little more than common "
                "words, sequences and repetitions.",
            )
        return password

    def _too_short(self) -> InvalidField:
        return InvalidField(
            FieldCode.TOO_SHORT, f"Password must be at least {self._min_length} characters long."
        )

    def _too_long(self) -> InvalidField:
        return InvalidField(
            FieldCode.TOO_LONG, f"Password must be at most {MAX_LENGTH} characters long."
        )


def username_in_password(
    username: str | None, password: NewPassword, *, field: str = "password"
) -> list[FieldError]:
    """Return an error of ``field`` if the password contains the user name.

    It is found in any case, backwards, with digits in place of letters, and with other punctuation.
    A name of fewer than four characters, as other systems allow, is not looked for.
    """
    names = [form for form in _forms(username or "") if len(form) >= MIN_WORD_LENGTH]
    found = (
        name in form or name[::-1] in form for form in _forms(password.prepared) for name in names
    )
    if any(found):
        error = InvalidField(FieldCode.CONTAINS_USERNAME, "Password must not contain the username.")
        return [error.of(field)]
    return []


def _forms(text: str) -> list[str]:
    """Return the spellings of a text, with and without its punctuation."""
    forms = spellings(simplified(text))
    return forms + ["".join(filter(str.isalnum, form)) for form in forms]


def _prepare(text: str) -> str:
    """Return the form of a password that is hashed (RFC 8265, section 4.2.2)."""
    return normalize("NFC", text.translate(_SPACES))


def _disallowed(text: str) -> str | None:
    """Return why a password is not allowed, or ``None`` if it is.

    More is allowed than by the FreeformClass of RFC 8264: invisible characters (soft hyphens, and
    what joins emoji), conjoining letters, and characters that it allows in some contexts only.
    Their normal forms never change, and so they are compared as safely as any other.
    """
    for character in text:
        reason = _DISALLOWED.get(category(character))
        if reason is not None and _NEW_EMOJI.match(character) is None:
            return reason
    return None


class NewCredentials:
    """A user name and a password for a new user, which go together."""

    __slots__ = ("password", "username")

    def __init__(self, username: Username, password: NewPassword) -> None:
        """Check the two together. Raises `ValidationFailed` if the one contains the other."""
        if errors := username_in_password(username.name, password):
            raise ValidationFailed(errors)
        self.username = username
        self.password = password


@cache
def common_passwords() -> frozenset[str]:
    """Return the words and passwords that attackers try first; the file names its sources."""
    text = files("service.auth").joinpath("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("#!"))
