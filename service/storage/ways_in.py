"""Ways in: the statement that finds by what a user could log in."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct
from sqlalchemy import ARRAY, Text, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.users import Provider
from service.storage.tables import identity, key, passkey


class FoundWaysIn(Struct, frozen=True, kw_only=True):
    """Whether a user has a password with a name, how many passkeys, and a verified address.

    ``issuers`` are those of the user's identities.
    """

    has_password: bool
    passkeys: int
    has_verified_address: bool
    issuers: list[str]


_KEYS = select(key.c.name).where(
    key.c.user_id == bindparam("owner_id"),
    key.c.provider.in_([Provider.USERNAME, Provider.EMAIL]),
)
_ISSUERS = select(identity.c.issuer).where(identity.c.user_id == bindparam("owner_id"))
FIND_WAYS_IN = select(
    _KEYS.where(key.c.password_hash.is_not(None)).exists().label("has_password"),
    select(func.count())
    .where(passkey.c.user_id == bindparam("owner_id"), passkey.c.rp_id == bindparam("rp_id"))
    .scalar_subquery()
    .label("passkeys"),
    _KEYS.where(key.c.provider == Provider.EMAIL, key.c.verified_at.is_not(None))
    .exists()
    .label("has_verified_address"),
    func.array(_ISSUERS.scalar_subquery(), type_=ARRAY(Text)).label("issuers"),
)


async def find_ways_in(
    connection: AsyncConnection, user_id: UUID, rp_id: str | None
) -> FoundWaysIn:
    """Return by what a user could log in; the passkeys are those of a relying party."""
    parameters = {"owner_id": user_id, "rp_id": rp_id}
    row = (await connection.execute(FIND_WAYS_IN, parameters)).one()
    return FoundWaysIn(
        has_password=row.has_password,
        passkeys=row.passkeys,
        has_verified_address=row.has_verified_address,
        issuers=row.issuers,
    )
