"""Password hashes of other systems, of imported users. They are verified, never created.

=================================  ============================================  ===================
form                               algorithm                                     made by
=================================  ============================================  ===================
``s2:salt:hex``                    scrypt, N=16384 r=16 p=1, 64 bytes            Lucia v2
``salt:hex``, 32 hex digits        the same                                      oslo, Better Auth
``salt:hex``, any other salt       scrypt with r=8                               Lucia v1
``$2a$…``, ``$2b$…``, ``$2y$…``    bcrypt, cost 4 to 14                          many
``bcrypt_sha256$$2b$…``            bcrypt of the SHA-256                         Django
``scrypt$N$salt$r$p$key``          scrypt                                        Django
``pbkdf2_sha256$n$salt$key``       PBKDF2; also with ``sha1``                    Django
``$pbkdf2-sha512$i=n$salt$key``    PBKDF2; also with ``sha256`` and ``sha1``     Keycloak (JSON)
=================================  ============================================  ===================

As in the originals, the salt of scrypt is its UTF-8 text, not decoded, and the password of Lucia,
oslo and Better Auth is in form NFKC; all others hash it as it was typed. The Argon2 hashes of oslo,
Django and Keycloak have the same form as Ostiary's and are verified in the same way.
"""

from __future__ import annotations

import hashlib
import re
from hmac import compare_digest
from unicodedata import normalize

import bcrypt

from service.auth.hashing.django_hashes import BcryptSHA256Hash, DjangoScryptHash
from service.auth.hashing.pbkdf2_hashes import PBKDF2Hash

# Django's names of the algorithms precede hashes of the usual forms.
_DJANGO_PREFIX = re.compile(r"^(?:argon2(?=\$argon2)|bcrypt\$(?=\$2))")

_SCRYPT = re.compile(r"(?P<version>s2:)?(?P<salt>[^:$\0]{1,256}):(?P<key>[0-9a-f]{128})")
_OSLO_SALT = re.compile(r"[0-9a-f]{32}")

# The salt has 16 bytes, so the last of its 22 characters has two bits only; others are refused by
# the library. Cost 14 takes a second; each one more doubles it, and 31 takes a day.
_BCRYPT = re.compile(r"\$2[aby]\$(?:0[4-9]|1[0-4])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")

# bcrypt ignores the rest; the library refuses longer passwords, which others truncate.
_BCRYPT_MAX_BYTES = 72

_SCRYPT_MAX_MEMORY = 64 * 1024 * 1024


def without_prefix(text: str) -> str:
    """Return a hash in the form in which it is kept: without the prefix that Django gives some."""
    return _DJANGO_PREFIX.sub("", text)


def is_legacy(password_hash: str) -> bool:
    """Return whether `verify_legacy` can verify the hash, at a cost within bounds."""
    return legacy_scheme(password_hash) is not None


def legacy_scheme(password_hash: str) -> str | None:
    """Return the scheme of a legacy hash; ``None`` for any other."""
    if scrypt := _SCRYPT.fullmatch(password_hash):
        return f"scrypt r={_block_size(scrypt)}"
    if _BCRYPT.fullmatch(password_hash):
        return password_hash[: len("$2b$12$")]
    other = _other(password_hash)
    return None if other is None else other.scheme


def verify_legacy(password_hash: str, text: str) -> bool:
    """Return whether a password, as it was typed, matches a legacy hash."""
    try:
        if scrypt := _SCRYPT.fullmatch(password_hash):
            return _verify_scrypt(scrypt, normalize("NFKC", text).encode())
        other = _other(password_hash)
        if other is not None:
            return other.verify(text.encode())
        return bcrypt.checkpw(text.encode()[:_BCRYPT_MAX_BYTES], password_hash.encode())
    except UnicodeEncodeError:
        return False


def renewable_form(password_hash: str, text: str, prepared: str | None) -> str | None:
    """Return the string to make a new hash of, once ``text`` matches a legacy hash.

    Whatever logs in with the old hash must do so with the new one. Every spelling of which NFKC is
    the same matches an scrypt hash, so the new hash is made of that form. A bcrypt hash tells only
    what the first 72 bytes are: a shorter password is the whole one, any other may be the beginning
    of it, and keeps its hash (``None``). The others tell the whole password: PBKDF2 matches also
    with U+0000 appended, of which no new hash is made.
    """
    if _SCRYPT.fullmatch(password_hash):
        return normalize("NFKC", text)
    if not _BCRYPT.fullmatch(password_hash):
        return prepared
    return prepared if len(text.encode()) < _BCRYPT_MAX_BYTES else None


def _other(password_hash: str) -> PBKDF2Hash | DjangoScryptHash | BcryptSHA256Hash | None:
    return (
        PBKDF2Hash.parse(password_hash)
        or DjangoScryptHash.parse(password_hash)
        or BcryptSHA256Hash.parse(password_hash)
    )


def _block_size(scrypt: re.Match[str]) -> int:
    return 16 if scrypt["version"] or _OSLO_SALT.fullmatch(scrypt["salt"]) else 8


def _verify_scrypt(scrypt: re.Match[str], password: bytes) -> bool:
    key = hashlib.scrypt(
        password,
        salt=scrypt["salt"].encode(),
        n=16384,
        r=_block_size(scrypt),
        p=1,
        maxmem=_SCRYPT_MAX_MEMORY,
        dklen=64,
    )
    return compare_digest(key, bytes.fromhex(scrypt["key"]))
