"""Invitations: the statements by which they are made, listed and withdrawn."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Interval,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.invitations import Invitation
from service.model.sessions import SecretHash
from service.storage.admissions import IS_LIVE, invitation_of_row
from service.storage.tables import invitation

# The key of an advisory lock: two that are made at once are counted one after the other. Any
# constant would do.
COUNTING_LOCK = 0x696E76697465
LOCK_COUNTING = select(func.pg_advisory_xact_lock(bindparam("lock", type_=BigInteger)))
COUNT = select(func.count()).select_from(invitation).where(IS_LIVE)


async def count_invitations(connection: AsyncConnection) -> int:
    """Return how many invitations are outstanding; no other is made until the transaction ends."""
    await connection.execute(LOCK_COUNTING, {"lock": COUNTING_LOCK})
    counted: int = (await connection.execute(COUNT)).scalar_one()
    return counted


ADD = (
    insert(invitation)
    .values(expires_at=func.now() + bindparam("lifetime", type_=Interval))
    .returning(invitation)
)


async def add_invitation(  # noqa: PLR0913
    connection: AsyncConnection,
    *,
    invitation_id: UUID,
    secret_hash: SecretHash,
    address: str | None,
    display_address: str | None,
    roles: list[str],
    service_token_id: UUID | None,
    lifetime: float,
) -> Invitation:
    """Insert an invitation that expires in ``lifetime`` seconds."""
    values = {
        "id": invitation_id,
        "secret_hash": secret_hash,
        "address": address,
        "display_address": display_address,
        "roles": roles,
        "service_token_id": service_token_id,
        "lifetime": timedelta(seconds=lifetime),
    }
    return invitation_of_row((await connection.execute(ADD, values)).one())


_NEWEST_FIRST = (invitation.c.created_at.desc(), invitation.c.id.desc())
LIST_NEWEST = select(invitation).where(IS_LIVE).order_by(*_NEWEST_FIRST).limit(bindparam("rows"))
LIST_OLDER = LIST_NEWEST.where(
    tuple_(invitation.c.created_at, invitation.c.id)
    < tuple_(
        bindparam("created_at", type_=invitation.c.created_at.type),
        bindparam("last_id", type_=invitation.c.id.type),
    )
)


async def list_invitations(
    connection: AsyncConnection, max_rows: int, older_than: tuple[datetime, UUID] | None
) -> list[Invitation]:
    """Return a page of the outstanding invitations, newest first."""
    if older_than is None:
        result = await connection.execute(LIST_NEWEST, {"rows": max_rows})
    else:
        created_at, last_id = older_than
        parameters = {"rows": max_rows, "created_at": created_at, "last_id": last_id}
        result = await connection.execute(LIST_OLDER, parameters)
    return [invitation_of_row(row) for row in result]


WITHDRAW = (
    delete(invitation)
    .where(invitation.c.id == bindparam("invitation_id"), IS_LIVE)
    .returning(invitation.c.id)
)


async def delete_invitation(connection: AsyncConnection, invitation_id: UUID) -> bool:
    """Delete an invitation that has not expired. Returns whether there was one."""
    result = await connection.execute(WITHDRAW, {"invitation_id": invitation_id})
    return result.one_or_none() is not None


DELETE_EXPIRED = text(
    """
    DELETE FROM invitation WHERE id = ANY (ARRAY(
        SELECT id FROM invitation WHERE expires_at <= now() ORDER BY id LIMIT :max_rows
    ))
    """
)


async def delete_expired_invitations(connection: AsyncConnection, max_rows: int) -> int:
    """Delete up to ``max_rows`` invitations that have expired. Returns how many."""
    return (await connection.execute(DELETE_EXPIRED, {"max_rows": max_rows})).rowcount
