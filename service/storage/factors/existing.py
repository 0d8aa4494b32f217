"""Existing factors: which a user has, whether they work today or not.

`has_factor` is a condition in the statements that open and prove sessions: no caller passes it by.
"""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement, bindparam, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.factors import ConfirmedTOTP
from service.storage.tables import passkey, recovery_code, sealed_secret, totp


def has_factor(user_id: ColumnElement[UUID]) -> ColumnElement[bool]:
    """Return the condition that a user has a confirmed app or a passkey, of whichever site."""
    confirmed = select(totp.c.user_id).where(
        totp.c.user_id == user_id, totp.c.confirmed_at.is_not(None)
    )
    passkeys = select(passkey.c.id).where(passkey.c.user_id == user_id)
    return or_(confirmed.exists(), passkeys.exists())


HAS_FACTOR = select(has_factor(bindparam("owner_id", type_=totp.c.user_id.type)))


async def user_has_factor(connection: AsyncConnection, user_id: UUID) -> bool:
    """Return whether a user has a factor."""
    found: bool = (await connection.execute(HAS_FACTOR, {"owner_id": user_id})).scalar_one()
    return found


class ExistingFactors(Struct, frozen=True, kw_only=True):
    """The factors of a user: the app, the numbers of passkeys of a site and of all, the codes."""

    totp: ConfirmedTOTP | None
    passkeys: int
    all_passkeys: int
    recovery_codes: int

    @property
    def are_none(self) -> bool:
        """Whether the user has no factor; recovery codes are none."""
        return self.totp is None and not self.all_passkeys


_PASSKEYS = select(func.count()).where(passkey.c.user_id == bindparam("owner_id"))
FIND_EXISTING = select(
    _PASSKEYS.where(passkey.c.rp_id == bindparam("rp_id")).scalar_subquery().label("passkeys"),
    _PASSKEYS.scalar_subquery().label("all_passkeys"),
    select(func.count())
    .where(recovery_code.c.user_id == bindparam("owner_id"))
    .scalar_subquery()
    .label("recovery_codes"),
)
FIND_CONFIRMED_TOTP = (
    select(totp.c.confirmed_at, totp.c.last_used_at, sealed_secret.c.key_id)
    .select_from(totp.outerjoin(sealed_secret, sealed_secret.c.id == totp.c.secret_id))
    .where(totp.c.user_id == bindparam("owner_id"), totp.c.confirmed_at.is_not(None))
)


async def find_existing_factors(
    connection: AsyncConnection, user_id: UUID, rp_id: str | None
) -> ExistingFactors:
    """Return the factors of a user; ``passkeys`` are those of the relying party ``rp_id``."""
    parameters = {"owner_id": user_id, "rp_id": rp_id}
    row = (await connection.execute(FIND_EXISTING, parameters)).one()
    app = (await connection.execute(FIND_CONFIRMED_TOTP, {"owner_id": user_id})).one_or_none()
    return ExistingFactors(
        totp=None
        if app is None
        else ConfirmedTOTP(
            confirmed_at=app.confirmed_at, last_used_at=app.last_used_at, key_id=app.key_id
        ),
        passkeys=row.passkeys,
        all_passkeys=row.all_passkeys,
        recovery_codes=row.recovery_codes,
    )
