"""Hash schemes: the algorithm and cost of a password hash, by its text, and which are verified."""

from __future__ import annotations

import re

from service.auth.hashing.legacy_hashes import is_legacy, legacy_scheme, without_prefix
from service.model.users import PasswordHash
from service.settings.passwords import Argon2Cost

# Bounds of the cost of an Argon2 hash that is verified: two seconds of a core, more than RFC 9106
# recommends where memory is constrained (64 MiB, 3 passes) and libsodium's "moderate" (256 MiB, 3).
MAX_MEMORY_KIB = 1024 * 1024
MAX_MEMORY_KIB_TIMES_PASSES = 1024 * 1024
MAX_LANES = 16
MAX_LENGTH = 1024

_ARGON2 = re.compile(r"\$argon2(?:id|i|d)\$(?:v=\d{1,9}\$)?m=\d{1,9},t=\d{1,9},p=\d{1,9}(?=\$)")

# At least 8 bytes of salt and 4 of hash, in base64 without padding.
_VERIFIABLE_ARGON2 = re.compile(
    r"\$argon2(?:id|i|d)\$(?:v=(?:16|19)\$)?"
    r"m=(?P<memory>\d{1,7}),t=(?P<passes>\d{1,7}),p=(?P<lanes>\d{1,2})"
    r"\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{6,}",
    re.ASCII,
)


def parse_password_hash(text: str) -> PasswordHash:
    """Return a hash with its scheme, in the form in which it is kept.

    The scheme is ``$argon2id$v=19$m=19456,t=2,p=1`` or ``$2b$12$``, for example. A text that no
    scheme produces has the scheme ``unknown``; no password matches it.
    """
    kept = without_prefix(text)
    return PasswordHash(kept, legacy_scheme(kept) or _argon2_scheme(kept) or "unknown")


def is_verifiable(text: str, current: Argon2Cost | None = None) -> bool:
    """Return whether a hash has a form that is verified, at a cost within bounds.

    A higher cost that is ``current`` raises the bounds. No password matches any other hash: one
    that takes a day, or all memory, would stop all log-ins.
    """
    return is_legacy(text) or _is_affordable_argon2(text, current or Argon2Cost())


def _argon2_scheme(text: str) -> str | None:
    """Return what precedes the salt; ``None`` if it is not an Argon2 hash."""
    match = _ARGON2.match(text)
    return None if match is None else match[0]


def _is_affordable_argon2(text: str, current: Argon2Cost) -> bool:
    match = _VERIFIABLE_ARGON2.fullmatch(text)
    if match is None or len(text) > MAX_LENGTH:
        return False
    memory, passes, lanes = int(match["memory"]), int(match["passes"]), int(match["lanes"])
    max_product = max(MAX_MEMORY_KIB_TIMES_PASSES, current.memory_kib * current.time_cost)
    return (
        1 <= lanes <= MAX_LANES
        and 8 * lanes <= memory <= max(MAX_MEMORY_KIB, current.memory_kib)
        and passes >= 1
        and passes * memory <= max_product
    )
