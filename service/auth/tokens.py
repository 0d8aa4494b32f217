"""Tokens: what the holder of a session shows."""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from hmac import compare_digest
from re import compile as regular_expression
from typing import Self
from uuid import UUID, uuid4

from service.model import SecretHash

ID_BYTES = 16
SECRET_BYTES = 32

_FORM = regular_expression(r"[A-Za-z0-9_-]{64}")


class Token:
    """A session's id and its secret, as 64 characters of base64url. Its ``repr`` hides both.

    The database keeps the SHA-256 of the secret: 256 random bits need no salt and no slow hash.
    """

    __slots__ = ("_secret", "session_id")

    def __init__(self, session_id: UUID, secret: bytes) -> None:
        self.session_id = session_id
        self._secret = secret

    def __repr__(self) -> str:
        return "Token(…)"

    @classmethod
    def issue(cls) -> Self:
        """Make a token for a session to come."""
        return cls(uuid4(), secrets.token_bytes(SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a token; nothing if the text can be none."""
        if _FORM.fullmatch(text) is None:
            return None
        raw = urlsafe_b64decode(text)
        return cls(UUID(bytes=raw[:ID_BYTES]), raw[ID_BYTES:])

    @property
    def text(self) -> str:
        return urlsafe_b64encode(self.session_id.bytes + self._secret).decode()

    @property
    def secret_hash(self) -> SecretHash:
        return SecretHash(sha256(self._secret).digest())

    def opens(self, secret_hash: SecretHash) -> bool:
        """Tell, in constant time, whether the hash is that of this token's secret."""
        return compare_digest(self.secret_hash, secret_hash)
