"""Hashes made with PBKDF2 (RFC 8018, section 5.2).

Django hashes with the text of the salt, and the key has the length of the digest. In the PHC string
format, ``$pbkdf2-sha512$i=210000$salt$key``, salt and key are bytes, in base64 without padding.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import b64decode
from hmac import compare_digest
from typing import Self

from msgspec import Struct

# Iterations times the blocks that the key consists of: about a second of a core. Django 6 has 1.2
# million of SHA-256, Keycloak 210,000 of SHA-512.
MAX_RUNS = 2_000_000

_DJANGO = re.compile(
    r"pbkdf2_(?P<digest>sha1|sha256)\$(?P<iterations>[1-9]\d{0,6})"
    r"\$(?P<salt>[^$\0]{1,256})\$(?P<key>[A-Za-z0-9+/]{27,43}=)",
    re.ASCII,
)
# With a key of 16 to 128 bytes.
_PHC = re.compile(
    r"\$pbkdf2-(?P<digest>sha1|sha256|sha512)\$i=(?P<iterations>[1-9]\d{0,6})"
    r"\$(?P<salt>[A-Za-z0-9+/]{2,342})\$(?P<key>[A-Za-z0-9+/]{22,171})",
    re.ASCII,
)


class PBKDF2Hash(Struct, frozen=True, kw_only=True):
    """A hash; ``digest`` is the name of the hash function of its HMAC."""

    digest: str
    iterations: int
    salt: bytes
    key: bytes

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse a hash; ``None`` if it has another form, or is beyond the bounds."""
        django = _DJANGO.fullmatch(text)
        match = django or _PHC.fullmatch(text)
        if match is None:
            return None
        try:
            parsed = cls(
                digest=match["digest"],
                iterations=int(match["iterations"]),
                salt=match["salt"].encode() if django else _bytes_of(match["salt"]),
                key=_bytes_of(match["key"].rstrip("=")),
            )
        except (binascii.Error, UnicodeEncodeError):
            return None
        if django and len(parsed.key) != hashlib.new(parsed.digest).digest_size:
            return None
        return parsed if parsed._is_within_bounds() else None

    @property
    def scheme(self) -> str:
        """What decides how long it takes: the digest, the iterations, the bytes of the key."""
        return f"pbkdf2-{self.digest} i={self.iterations} l={len(self.key)}"

    def verify(self, password: bytes) -> bool:
        """Return whether a password matches."""
        key = hashlib.pbkdf2_hmac(
            self.digest, password, self.salt, self.iterations, dklen=len(self.key)
        )
        return compare_digest(key, self.key)

    def _is_within_bounds(self) -> bool:
        blocks = -(-len(self.key) // hashlib.new(self.digest).digest_size)
        return self.iterations * blocks <= MAX_RUNS


def _bytes_of(unpadded: str) -> bytes:
    return b64decode(unpadded + "=" * (-len(unpadded) % 4))
