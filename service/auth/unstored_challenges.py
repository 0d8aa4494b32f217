"""What challenges have in common that are stored nowhere: those of passkeys, and states of flows.

Such a challenge contains a random nonce, its time of issue, and an HMAC-SHA256 of both and of what
the challenge is bound to. Reading one does not make it valid: the caller checks its expiry against
the clock of the database, and claims its nonce.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import digest

# How long a challenge can be answered, in seconds.
LIFETIME = 600

NONCE_BYTES = 16
TIME_BYTES = 8
MAC_BYTES = 32

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def encoded_time(time: datetime) -> bytes:
    """Return a time in microseconds since 1970."""
    return ((time - _EPOCH) // _MICROSECOND).to_bytes(TIME_BYTES)


def decoded_time(raw: bytes) -> datetime:
    """Return the time of `encoded_time`."""
    return _EPOCH + int.from_bytes(raw) * _MICROSECOND


def expiry_of(issued_at: datetime) -> datetime:
    """Return when a challenge expires that was issued at a time."""
    return issued_at + timedelta(seconds=LIFETIME)


def mac_of(key: bytes, fields: Iterable[bytes]) -> bytes:
    """Return the HMAC of fields, each of at most 65,535 bytes."""
    # With its length before it, no field can be taken for a part of another.
    return digest(key, b"".join(len(each).to_bytes(2) + each for each in fields), sha256)
