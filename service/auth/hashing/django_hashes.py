"""Hashes that only Django makes: its bcrypt of a digest, and its form of scrypt.

``bcrypt_sha256$`` is bcrypt of the hexadecimal SHA-256 of the password, so that the whole password
counts. In ``scrypt$N$salt$r$p$key`` the salt is text, which is hashed as it is.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import b64decode
from hmac import compare_digest
from typing import Self

import bcrypt
from msgspec import Struct

# N times r times p, to which the time is proportional: Lucia's is 2**18, Django's 655,360.
MAX_SCRYPT_WORK = 1024 * 1024
# Bytes: 128 times N times r (RFC 7914, section 2).
MAX_SCRYPT_MEMORY = 64 * 1024 * 1024
SCRYPT_KEY_BYTES = 64

_SCRYPT = re.compile(
    r"scrypt\$(?P<n>[1-9]\d{0,6})\$(?P<salt>[^$\0]{1,256})\$(?P<r>[1-9]\d{0,2})\$(?P<p>[1-9]\d{0,2})"
    r"\$(?P<key>[A-Za-z0-9+/]{86}==)",
    re.ASCII,
)
_BCRYPT_SHA256 = re.compile(
    r"bcrypt_sha256\$(?P<bcrypt>"
    r"\$2b\$(?P<cost>0[4-9]|1[0-4])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31})"
)


class DjangoScryptHash(Struct, frozen=True, kw_only=True):
    """An scrypt hash of Django."""

    n: int
    r: int
    p: int
    salt: bytes
    key: bytes

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse a hash; ``None`` if it has another form, or is beyond the bounds."""
        match = _SCRYPT.fullmatch(text)
        if match is None:
            return None
        n, r, p = int(match["n"]), int(match["r"]), int(match["p"])
        is_power_of_two = n > 1 and n & (n - 1) == 0
        is_within = 128 * n * r <= MAX_SCRYPT_MEMORY and n * r * p <= MAX_SCRYPT_WORK
        if not (is_power_of_two and is_within):
            return None
        try:
            salt = match["salt"].encode()
        except UnicodeEncodeError:
            return None
        return cls(n=n, r=r, p=p, salt=salt, key=b64decode(match["key"]))

    @property
    def scheme(self) -> str:
        """The cost."""
        return f"scrypt n={self.n} r={self.r} p={self.p}"

    def verify(self, password: bytes) -> bool:
        """Return whether a password matches."""
        key = hashlib.scrypt(
            password,
            salt=self.salt,
            n=self.n,
            r=self.r,
            p=self.p,
            # Half as much again: OpenSSL counts more than RFC 7914 does.
            maxmem=MAX_SCRYPT_MEMORY * 3 // 2,
            dklen=SCRYPT_KEY_BYTES,
        )
        return compare_digest(key, self.key)


class BcryptSHA256Hash(Struct, frozen=True, kw_only=True):
    """A bcrypt hash of the digest of a password."""

    bcrypt: str
    cost: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse a hash; ``None`` if it has another form, or is beyond the bounds."""
        match = _BCRYPT_SHA256.fullmatch(text)
        return None if match is None else cls(bcrypt=match["bcrypt"], cost=match["cost"])

    @property
    def scheme(self) -> str:
        """The cost."""
        return f"bcrypt_sha256 {self.cost}"

    def verify(self, password: bytes) -> bool:
        """Return whether a password matches."""
        digest = binascii.hexlify(hashlib.sha256(password).digest())
        return bcrypt.checkpw(digest, self.bcrypt.encode())
