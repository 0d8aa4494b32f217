"""Factors: authenticator apps and passkeys, and the recovery codes beside them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from service.model.sealed_secrets import SealedSecret


class RecoveryCodeHash(bytes):
    """The SHA-256 of a recovery code. Its ``repr`` hides it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "RecoveryCodeHash(…)"


class TOTP(Struct, frozen=True, kw_only=True):
    """The authenticator app of a user, which is a factor once ``confirmed_at``.

    ``sealed`` is its secret, or ``None`` if that was given up: then no code is right. ``now`` is
    the database's time, in seconds since 1970.
    """

    secret_id: UUID
    sealed: SealedSecret | None
    confirmed_at: datetime | None
    now: float


class ConfirmedTOTP(Struct, frozen=True, kw_only=True):
    """An authenticator app that is a factor, as it is shown.

    ``key_id`` is the secret key that has sealed its secret; ``None`` if that was given up.
    """

    confirmed_at: datetime
    last_used_at: datetime | None
    key_id: str | None
