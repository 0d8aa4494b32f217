"""Passwords: what counts as the same one, and which may be chosen (RFC 8265, section 4;
NIST SP 800-63B-4, section 3.1.1)."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Self
from unicodedata import normalize

from precis_i18n import get_profile

from service.auth.errors import InvalidField

MIN_LENGTH = 8
MAX_LENGTH = 256

# For log-in only: a site that moved here may have allowed more than we do.
MAX_CLAIMED_LENGTH = 1024

_OPAQUE_STRING = get_profile("OpaqueString")


class Password:
    """What somebody types as their password. Its ``repr`` tells nothing.

    ``text`` is as it was typed, for foreign hashes; ``prepared`` is what ours are made of, and
    ``None`` where RFC 8265 knows no such password.
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
        """What a hash by Argon2id may be of: our form of the password, and that of oslo."""
        forms = [self.prepared, normalize("NFKC", self.text)]
        return [form for form in dict.fromkeys(forms) if form is not None]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take a password to be compared with one that was set. Raises `InvalidField`."""
        if not text:
            raise InvalidField("too_short", "Password must not be empty.")
        if len(text) > MAX_CLAIMED_LENGTH:
            raise InvalidField(
                "too_long", f"Password must be at most {MAX_CLAIMED_LENGTH} characters long."
            )
        return cls(text)


class NewPassword(Password):
    """A password that somebody may choose; made by `PasswordPolicy.accept` alone."""

    __slots__ = ()
    prepared: str


class PasswordPolicy:
    """Which passwords may be chosen: long enough, not a common one, without the user name in it.

    No rule asks for digits or symbols: such rules make passwords weaker, not stronger.
    """

    def __init__(self, min_length: int = MIN_LENGTH) -> None:
        self._min_length = min_length

    def accept(self, text: str) -> NewPassword:
        """Take a password that somebody wants to have. Raises `InvalidField`."""
        if len(text) > MAX_CLAIMED_LENGTH:
            raise self._too_long()
        if not text:
            raise self._too_short()
        password = NewPassword(text)
        if password.prepared is None:
            raise InvalidField("not_allowed", "Password must not contain control characters.")
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


def refuse_username_in_password(username: str | None, password: NewPassword) -> None:
    """Raises `InvalidField` if the password holds the user name, in whatever case."""
    if username and username.casefold() in password.prepared.casefold():
        raise InvalidField("contains_username", "Password must not contain the username.")


@cache
def common_passwords() -> frozenset[str]:
    """Passwords that attackers try first; where they come from, the file tells."""
    text = files("service.auth").joinpath("common_passwords.txt").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#!"))
    return frozenset(line for line in lines if len(line) >= MIN_LENGTH)
