"""Password hashes that other systems made, for users who moved here. Verified, never made.

==============================  ====================================================  ============
form                            what it is                                            made by
==============================  ====================================================  ============
``s2:salt:hex``                 scrypt, N=16384 r=16 p=1, 64 bytes                    Lucia v2
``salt:hex``, 32 hex digits     the same                                              oslo
``salt:hex``, any other salt    scrypt with r=8                                       Lucia v1
``$2a$…``, ``$2b$…``, ``$2y$…`` bcrypt                                                many
==============================  ====================================================  ============

The salt is used as its UTF-8 text, not decoded, and the password in form NFKC: that is how the
originals do it. oslo's Argon2id looks like ours, and is verified as ours are.
"""

from __future__ import annotations

import hashlib
from hmac import compare_digest
from re import Match
from re import compile as regular_expression
from unicodedata import normalize

import bcrypt

_SCRYPT = regular_expression(r"(?P<version>s2:)?(?P<salt>[^:$]+):(?P<key>[0-9a-f]{128})")
_OSLO_SALT = regular_expression(r"[0-9a-f]{32}")
_BCRYPT = regular_expression(r"\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}")

# bcrypt looks at no more, and the library refuses what others cut off.
_BCRYPT_BYTES = 72

_SCRYPT_MEMORY = 64 * 1024 * 1024


def is_foreign(password_hash: str) -> bool:
    """Tell whether `verify_foreign` knows the form."""
    return any(form.fullmatch(password_hash) for form in (_SCRYPT, _BCRYPT))


def kind_of(password_hash: str) -> str:
    """Who made a hash, and with which cost: all hashes of a kind take equally long to verify."""
    scrypt = _SCRYPT.fullmatch(password_hash)
    if scrypt is not None:
        return f"scrypt r={_block_size(scrypt)}"
    if _BCRYPT.fullmatch(password_hash):
        return password_hash[: len("$2b$12$")]
    return password_hash.rpartition("$")[0].rpartition("$")[0]


def verify_foreign(password_hash: str, text: str) -> bool:
    """Tell whether a foreign hash is one of the password, as it was typed."""
    try:
        if _BCRYPT.fullmatch(password_hash):
            return bcrypt.checkpw(text.encode()[:_BCRYPT_BYTES], password_hash.encode())
        return _verify_scrypt(password_hash, normalize("NFKC", text).encode())
    except UnicodeEncodeError:
        return False


def _block_size(scrypt: Match[str]) -> int:
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
        maxmem=_SCRYPT_MEMORY,
        dklen=64,
    )
    return compare_digest(key, bytes.fromhex(match["key"]))
