"""Recovery codes: ten, of 120 random bits each, for users who have lost every factor.

They are written in Crockford's base32, which has no letters that are mistaken for digits. The
database stores their SHA-256: 120 random bits need no salt and no slow hash.
"""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from typing import Self

from service.auth.errors import FieldCode, InvalidField
from service.model.factors import RecoveryCodeHash

CODES = 10

# 24 characters of 5 bits each, in groups of six.
LENGTH = 24
GROUP = 6
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

_FORM = re.compile(rf"[{ALPHABET}]{{{LENGTH}}}")
_SEPARATORS = re.compile(r"[ -]")
_MISTAKEN = str.maketrans("OIL", "011")


class RecoveryCode(str):
    """A recovery code, without separators. Its ``repr`` hides it."""

    __slots__ = ()

    @classmethod
    def issue(cls) -> Self:
        """Create a code."""
        return cls("".join(secrets.choice(ALPHABET) for _ in range(LENGTH)))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a code as it was typed. Raises `InvalidField` for what cannot be one."""
        characters = _SEPARATORS.sub("", text)
        if characters.isascii():
            characters = characters.upper().translate(_MISTAKEN)
        if _FORM.fullmatch(characters) is None:
            raise InvalidField(
                FieldCode.NOT_ALLOWED, f"A recovery code has {LENGTH} letters and digits."
            )
        return cls(characters)

    def __repr__(self) -> str:
        return "RecoveryCode(…)"

    @property
    def hash(self) -> RecoveryCodeHash:
        """The SHA-256 of the code."""
        return RecoveryCodeHash(sha256(self.encode()).digest())

    @property
    def grouped(self) -> str:
        """The code as it is shown, in groups."""
        return "-".join(self[start : start + GROUP] for start in range(0, LENGTH, GROUP))


def issue_codes() -> list[RecoveryCode]:
    """Create the codes of a user."""
    return [RecoveryCode.issue() for _ in range(CODES)]
