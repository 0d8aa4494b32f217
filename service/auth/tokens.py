"""Session tokens."""

from __future__ import annotations

import re
import secrets
from base64 import urlsafe_b64encode
from binascii import a2b_base64
from hashlib import blake2b, sha256
from hmac import compare_digest
from typing import ClassVar, Self
from uuid import UUID, uuid4

from service.model.sessions import SecretHash

ID_BYTES = 16
SECRET_BYTES = 32

TEXT_LENGTH = 64

# From base64url to base64; the two characters that only base64 has are invalid.
_FROM_URLSAFE = bytes.maketrans(b"-_+/", b"+/!!")

# A session id of Lucia v2: 40 random letters and digits, about 206 bits.
_LUCIA_FORM = re.compile(r"[a-z0-9]{40}")


def decoded(text: str) -> tuple[UUID, bytes] | None:
    """Return the id and the secret in the text of a token; ``None`` for any other text."""
    # Padding may follow, which is ignored.
    if len(text) != TEXT_LENGTH:
        return None
    try:
        raw = a2b_base64(text.encode().translate(_FROM_URLSAFE), strict_mode=True)
    except ValueError:
        return None
    # With padding the text is shorter than it seems: no token has any.
    if len(raw) != ID_BYTES + SECRET_BYTES:
        return None
    return UUID(bytes=raw[:ID_BYTES]), raw[ID_BYTES:]


class Token:
    """A session's id and secret, 64 characters of base64url. Its ``repr`` hides both.

    The database stores the SHA-256 of the secret: 256 random bits need no salt and no slow hash.
    """

    __slots__ = ("_secret", "session_id", "text")

    by_legacy_cookie: ClassVar[bool] = False

    def __init__(self, session_id: UUID, secret: bytes, text: str) -> None:
        self.session_id = session_id
        self._secret = secret
        self.text = text

    def __repr__(self) -> str:
        return "Token(…)"

    @classmethod
    def issue(cls, session_id: UUID | None = None) -> Self:
        """Create a token for a new session, or a new one for an existing session."""
        session_id = session_id or uuid4()
        secret = secrets.token_bytes(SECRET_BYTES)
        return cls(session_id, secret, urlsafe_b64encode(session_id.bytes + secret).decode())

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse a token, or a session id of Lucia. Returns ``None`` for any other text."""
        if parts := decoded(text):
            return cls(*parts, text)
        return cls.parse_lucia(text)

    @classmethod
    def parse_lucia(cls, text: str) -> Self | None:
        """Parse a session id of Lucia v2: it becomes the secret, and the id is derived from it."""
        if _LUCIA_FORM.fullmatch(text) is None:
            return None
        secret = text.encode()
        digest = blake2b(secret, digest_size=ID_BYTES, person=b"lucia session id")
        return cls(UUID(bytes=digest.digest()), secret, text)

    @property
    def secret_hash(self) -> SecretHash:
        """The SHA-256 of the secret."""
        return SecretHash(sha256(self._secret).digest())

    def matches(self, secret_hash: SecretHash) -> bool:
        """Return whether the hash is that of this token's secret, by constant-time comparison."""
        return compare_digest(self.secret_hash, secret_hash)


class LegacyCookieToken(Token):
    """A token from a cookie without the prefix that cookies have now.

    Another host of the site can plant such a cookie, so it opens only sessions of the time before
    the prefix.
    """

    __slots__ = ()

    by_legacy_cookie = True
