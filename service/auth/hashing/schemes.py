"""Hash schemes: the algorithm and cost of a password hash, by its text."""

from __future__ import annotations

import re

from service.auth.hashing.legacy_hashes import legacy_scheme
from service.model.users import PasswordHash

_ARGON2 = re.compile(r"\$argon2(?:id|i|d)\$(?:v=\d{1,9}\$)?m=\d{1,9},t=\d{1,9},p=\d{1,9}(?=\$)")


def parse_password_hash(text: str) -> PasswordHash:
    """Return a hash with its scheme.

    The scheme is ``$argon2id$v=19$m=19456,t=2,p=1`` or ``$2b$12$``, for example. A text that no
    scheme produces has the scheme ``unknown``; no password matches it.
    """
    return PasswordHash(text, legacy_scheme(text) or _argon2_scheme(text) or "unknown")


def _argon2_scheme(text: str) -> str | None:
    """Return what precedes the salt; ``None`` if it is not an Argon2 hash."""
    match = _ARGON2.match(text)
    return None if match is None else match[0]
