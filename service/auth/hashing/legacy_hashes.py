"""Password hashes of other systems, of imported users. They are verified, never created.

==============================  ====================================================  ============
form                            algorithm                                             made by
==============================  ====================================================  ============
``s2:salt:hex``                 scrypt, N=16384 r=16 p=1, 64 bytes                    Lucia v2
``salt:hex``, 32 hex digits     the same                                              oslo
``salt:hex``, any other salt    scrypt with r=8                                       Lucia v1
``$2a$…``, ``$2b$…``, ``$2y$…`` bcrypt                                                many
==============================  ====================================================  ============

As in the originals, the salt is its UTF-8 text, not decoded, and the password is in form NFKC. The
Argon2id hashes of oslo have the same form as Ostiary's and are verified in the same way.
"""

from __future__ import annotations

import hashlib
import re
from hmac import compare_digest
from unicodedata import normalize

import bcrypt

_SCRYPT = re.compile(r"(?P<version>s2:)?(?P<salt>[^:$]+):(?P<key>[0-9a-f]{128})")
_OSLO_SALT = re.compile(r"[0-9a-f]{32}")
_BCRYPT = re.compile(r"\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}")

# bcrypt ignores the rest; the library refuses longer passwords, which others truncate.
_BCRYPT_MAX_BYTES = 72

_SCRYPT_MAX_MEMORY = 64 * 1024 * 1024


def is_legacy(password_hash: str) -> bool:
    """Return whether `verify_legacy` can verify the hash."""
    return legacy_scheme(password_hash) is not None


def legacy_scheme(password_hash: str) -> str | None:
    """Return the scheme of a legacy hash; ``None`` for any other."""
    if scrypt := _SCRYPT.fullmatch(password_hash):
        return f"scrypt r={_block_size(scrypt)}"
    if _BCRYPT.fullmatch(password_hash):
        return password_hash[: len("$2b$12$")]
    return None


def verify_legacy(password_hash: str, text: str) -> bool:
    """Return whether a password, as it was typed, matches a legacy hash."""
    try:
        if _BCRYPT.fullmatch(password_hash):
            return bcrypt.checkpw(text.encode()[:_BCRYPT_MAX_BYTES], password_hash.encode())
        return _verify_scrypt(password_hash, normalize("NFKC", text).encode())
    except UnicodeEncodeError:
        return False


def _block_size(scrypt: re.Match[str]) -> int:
    return 16 if scrypt["version"] or _OSLO_SALT.fullmatch(scrypt["salt"]) else 8


def _verify_scrypt(password_hash: str, password: bytes) -> bool:
    match = _SCRYPT.fullmatch(password_hash)
    if match is None:
        return False
    key = hashlib.scrypt(
        password,
        salt=match["salt"].encode(),
        n=16384,
        r=_block_size(match),
        p=1,
        maxmem=_SCRYPT_MAX_MEMORY,
        dklen=64,
    )
    return compare_digest(key, bytes.fromhex(match["key"]))
