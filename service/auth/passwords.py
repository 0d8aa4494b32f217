"""Passwords: which are the same, and which are accepted.

The sources are RFC 8265, section 4, and NIST SP 800-63B-4, section 3.1.1.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Self
from unicodedata import normalize

from precis_i18n import get_profile

from service.auth.errors import FieldError, InvalidField, ValidationFailed
from service.auth.usernames import Username

MIN_LENGTH = 8
MAX_LENGTH = 256

# For log-in: another system may have allowed longer passwords.
MAX_CLAIMED_LENGTH = 1024

_OPAQUE_STRING = get_profile("OpaqueString")


class Password:
    """A password that was typed. Its ``repr`` hides it.

    ``text`` is what was typed, for legacy hashes; ``prepared`` is the input of Argon2id, and
    ``None`` where RFC 8265 does not allow the password.
    """

    __slots__ = ("prepared", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self.prepared: str | None = _OPAQUE_STRING.enforce(text)
        except UnicodeEncodeError:
            self.prepared = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    @property
    def forms(self) -> list[str]:
        """The strings an Argon2id hash may be made of: the prepared form, and the one of oslo."""
        forms = [self.prepared, normalize("NFKC", self.text)]
        return [form for form in dict.fromkeys(forms) if form is not None]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a password to be verified. Raises `InvalidField` if it is empty or too long."""
        if not text:
            raise InvalidField("too_short", "Password must not be empty.")
        if len(text) > MAX_CLAIMED_LENGTH:
            raise InvalidField(
                "too_long", f"Password must be at most {MAX_CLAIMED_LENGTH} characters long."
            )
        return cls(text)


class NewPassword(Password):
    """A password that was accepted; only `PasswordPolicy.accept` creates one."""

    __slots__ = ()
    prepared: str


class PasswordPolicy:
    """Which passwords are accepted: those that are long enough and not common.

    There are no composition rules, which make passwords weaker (NIST SP 800-63B-4).
    """

    def __init__(self, min_length: int = MIN_LENGTH) -> None:
        self._min_length = min_length

    def accept(self, text: str) -> NewPassword:
        """Validate a new password. Raises `InvalidField`."""
        if len(text) > MAX_CLAIMED_LENGTH:
            raise self._too_long()
        if not text:
            raise self._too_short()
        password = NewPassword(text)
        if password.prepared is None:
            raise InvalidField(
                "not_allowed", "Password must not contain control characters or invisible ones."
            )
        if len(password.prepared) < self._min_length:
            raise self._too_short()
        if len(password.prepared) > MAX_LENGTH:
            raise self._too_long()
        if password.prepared.casefold() in common_passwords():
            raise InvalidField("too_common", "Password is among the most common ones.")
        return password

    def _too_short(self) -> InvalidField:
        return InvalidField(
            "too_short", f"Password must be at least {self._min_length} characters long."
        )

    def _too_long(self) -> InvalidField:
        return InvalidField("too_long", f"Password must be at most {MAX_LENGTH} characters long.")


def username_in_password(
    username: str | None, password: NewPassword, *, field: str = "password"
) -> list[FieldError]:
    """Return an error of ``field`` if the password contains the user name, in any case."""
    if username and username.casefold() in password.prepared.casefold():
        error = InvalidField("contains_username", "Password must not contain the username.")
        return [error.of(field)]
    return []


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
    """Return the passwords that attackers try first; the file names its sources."""
    text = files("service.auth").joinpath("common_passwords.txt").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#!"))
    return frozenset(line for line in lines if len(line) >= MIN_LENGTH)
