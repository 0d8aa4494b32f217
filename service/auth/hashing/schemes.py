"""Hash schemes: the algorithm and cost of a password hash, by its text."""

from __future__ import annotations

from service.auth.hashing.legacy_hashes import legacy_scheme
from service.model.users import PasswordHash


def parse_password_hash(text: str) -> PasswordHash:
    """Return a hash with its scheme.

    The scheme is ``$argon2id$v=19$m=19456,t=2,p=1`` or ``$2b$12$``, for example. A text that no
    scheme produces is a hash that no password matches.
    """
    return PasswordHash(text, legacy_scheme(text) or _argon2_scheme(text))


def _argon2_scheme(text: str) -> str:
    """Return what precedes the salt and the key."""
    return text.rpartition("$")[0].rpartition("$")[0]
