"""Claimed nonces: of what was issued without a row, and can be used once."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Interval, bindparam, func, literal_column, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.restores import restored_at
from service.storage.tables import claimed_nonce, user

CLOCK = select(func.clock_timestamp())


async def read_clock(connection: AsyncConnection) -> datetime:
    """Return the time by the database's clock, by which what is issued expires."""
    now: datetime = (await connection.execute(CLOCK)).scalar_one()
    return now


# Kept past the expiry: a clock that is set back makes no challenge answerable again.
CLAIM_NONCE = (
    insert(claimed_nonce)
    .from_select(
        [claimed_nonce.c.nonce, claimed_nonce.c.expires_at],
        select(
            bindparam("nonce", type_=claimed_nonce.c.nonce.type),
            bindparam("expires_at", type_=claimed_nonce.c.expires_at.type)
            + literal_column("interval '1 day'", type_=Interval),
        ).where(
            bindparam("expires_at", type_=claimed_nonce.c.expires_at.type) > func.clock_timestamp(),
            bindparam("issued_at", type_=claimed_nonce.c.expires_at.type)
            > func.greatest(
                restored_at(),
                # Without a user this is NULL, which `greatest` ignores.
                select(user.c.security_changed_at)
                .where(user.c.id == bindparam("owner_id"))
                .scalar_subquery(),
            ),
        ),
    )
    .on_conflict_do_nothing(index_elements=[claimed_nonce.c.nonce])
)


async def claim_nonce(
    connection: AsyncConnection,
    user_id: UUID | None,
    nonce: bytes,
    *,
    issued_at: datetime,
    expires_at: datetime,
) -> bool:
    """Use a nonce up, in the transaction of what that allows. Returns whether it was valid.

    It is not if it was used before, has expired, or was issued before the database was restored,
    for the backup does not tell whether it was used; nor if it belongs to a user, and was issued
    before the last change of what protects that user.
    """
    parameters: dict[str, Any] = {
        "owner_id": user_id,
        "nonce": nonce,
        "issued_at": issued_at,
        "expires_at": expires_at,
    }
    return (await connection.execute(CLAIM_NONCE, parameters)).rowcount == 1


DELETE_EXPIRED_NONCES = text(
    """
    DELETE FROM claimed_nonce WHERE nonce = ANY (ARRAY(
        SELECT nonce FROM claimed_nonce WHERE expires_at <= now() ORDER BY nonce LIMIT :max_rows
    ))
    """
)


async def delete_expired_nonces(connection: AsyncConnection, max_rows: int) -> int:
    """Delete up to ``max_rows`` nonces that expired a day ago. Returns how many."""
    return (await connection.execute(DELETE_EXPIRED_NONCES, {"max_rows": max_rows})).rowcount
