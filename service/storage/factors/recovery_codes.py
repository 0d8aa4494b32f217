"""Recovery codes: the statements on their hashes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.factors import RecoveryCodeHash
from service.storage.tables import recovery_code

_OF_USER = recovery_code.c.user_id == bindparam("owner_id")

DELETE_ALL = delete(recovery_code).where(_OF_USER)
DELETE_SINCE = DELETE_ALL.where(recovery_code.c.created_at >= bindparam("since"))


async def delete_recovery_codes(
    connection: AsyncConnection, user_id: UUID, *, since: datetime | None = None
) -> None:
    """Delete the recovery codes of a user, or those only that are not older than ``since``."""
    if since is None:
        await connection.execute(DELETE_ALL, {"owner_id": user_id})
    else:
        await connection.execute(DELETE_SINCE, {"owner_id": user_id, "since": since})


ADD = insert(recovery_code)


async def replace_recovery_codes(
    connection: AsyncConnection, user_id: UUID, hashes: Sequence[RecoveryCodeHash]
) -> None:
    """Insert recovery codes of a user, in place of all others."""
    await delete_recovery_codes(connection, user_id)
    await connection.execute(ADD, [{"user_id": user_id, "hash": each} for each in hashes])


CLAIM = delete(recovery_code).where(_OF_USER, recovery_code.c.hash == bindparam("presented"))


async def claim_recovery_code(
    connection: AsyncConnection, user_id: UUID, presented: RecoveryCodeHash
) -> bool:
    """Delete a recovery code, in the transaction of what it allows. Returns whether there was."""
    result = await connection.execute(CLAIM, {"owner_id": user_id, "presented": presented})
    return result.rowcount == 1


COUNT = select(func.count()).where(_OF_USER)


async def count_recovery_codes(connection: AsyncConnection, user_id: UUID) -> int:
    """Return how many recovery codes a user has left."""
    count: int = (await connection.execute(COUNT, {"owner_id": user_id})).scalar_one()
    return count
