"""The text of a service token, which its program holds and presents.

It is ``ost_``, 22 characters of base62 for the id, 43 for the secret, and 6 for the CRC-32 of all
that precedes them. Scanners for leaked secrets find it by its prefix, and leave out by the checksum
what only looks like one.
"""

from __future__ import annotations

import re
import secrets
import string
from binascii import crc32
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest
from typing import Self
from uuid import UUID, uuid4

from service.model.service_tokens import ServiceTokenHash

PREFIX = "ost_"
SECRET_BYTES = 32

# In the order of their values.
DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase

# The least numbers of digits for 16, 32 and 4 bytes.
ID_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH = 22, 43, 6

_FORM = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{ID_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH}}}")
_END_OF_ID = len(PREFIX) + ID_LENGTH
_END_OF_SECRET = _END_OF_ID + SECRET_LENGTH

# Of pairs of digits: a token is read for every request.
_VALUES = {
    one + other: 62 * value + DIGITS.index(other)
    for value, one in enumerate(DIGITS)
    for other in DIGITS
}

# What the secret of no token has: to compare with it takes as long as with that of one.
_NO_HASH = ServiceTokenHash(bytes(32))


class PresentedToken:
    """A service token's id and secret. Its ``repr`` hides the secret.

    The database stores the SHA-256 of the secret's text: 256 random bits need no salt and no slow
    hash.
    """

    __slots__ = ("id", "secret_hash", "text")

    def __init__(self, token_id: UUID, text: str) -> None:
        self.id = token_id
        self.text = text
        secret = text[_END_OF_ID:_END_OF_SECRET].encode()
        self.secret_hash = ServiceTokenHash(sha256(secret).digest())

    def __repr__(self) -> str:
        return f"PresentedToken({self.id}, …)"

    @classmethod
    def issue(cls) -> Self:
        """Create a token."""
        token_id = uuid4()
        secret = int.from_bytes(secrets.token_bytes(SECRET_BYTES))
        text = PREFIX + base62(token_id.int, ID_LENGTH) + base62(secret, SECRET_LENGTH)
        return cls(token_id, text + checksum(text))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse a token. Returns ``None`` for any other text."""
        if _FORM.fullmatch(text) is None:
            return None
        if number_in(text[_END_OF_SECRET:]) != crc32(text[:_END_OF_SECRET].encode()):
            return None
        token_id = id_in(text[len(PREFIX) : _END_OF_ID])
        return None if token_id is None else cls(token_id, text)

    def matches(self, secret_hash: ServiceTokenHash | None) -> bool:
        """Return whether the hash is that of this token's secret, by constant-time comparison.

        ``None``, for a token that is not there, takes as long.
        """
        return compare_digest(self.secret_hash, _NO_HASH if secret_hash is None else secret_hash)


# A program sends the same id with every request. It is no secret: `service-token list` shows it.
@lru_cache(maxsize=1024)
def id_in(digits: str) -> UUID | None:
    """Return the id that its digits stand for."""
    try:
        return UUID(int=number_in(digits))
    except ValueError:
        # 22 digits reach a little further than 16 bytes.
        return None


def base62(number: int, length: int) -> str:
    """Return a number in so many digits."""
    digits = []
    for _ in range(length):
        number, value = divmod(number, 62)
        digits.append(DIGITS[value])
    return "".join(reversed(digits))


def number_in(digits: str) -> int:
    """Return the number that an even number of digits stands for."""
    number = 0
    for place in range(0, len(digits), 2):
        number = number * 3844 + _VALUES[digits[place : place + 2]]
    return number


def checksum(text: str) -> str:
    """Return the CRC-32 of a text, in base62."""
    return base62(crc32(text.encode()), CHECKSUM_LENGTH)
