"""Restores of the database: the statements on the table, and on what a backup must not revive."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Float,
    Table,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.tables import (
    challenge,
    invitation,
    mail,
    recovery_code,
    reset_request,
    restore,
)

# Passkeys that were made after the backup are unknown here, and good. By then, who has one has
# seen that it does not log in.
UNKNOWN_PASSKEYS_DAYS = 30

_NEWEST = select(func.max(restore.c.restored_at))
_NEVER = literal_column("'-infinity'", type_=restore.c.restored_at.type)


def restored_at() -> ColumnElement[datetime]:
    """Return the time of the last restore; ``-infinity`` if there was none."""
    return func.coalesce(_NEWEST.scalar_subquery(), _NEVER)


def last_step_before_restore(period: int) -> ColumnElement[float]:
    """Return the last time step of ``period`` seconds whose code may have been used by then.

    It is the one after that of the restore, whose code counts as well.
    """
    seconds = func.extract("epoch", _NEWEST.scalar_subquery())
    return func.coalesce(func.floor(cast(seconds, Float) / period) + 1, 0)


ADD = insert(restore).returning(restore.c.restored_at)


async def add_restore(connection: AsyncConnection) -> datetime:
    """Remember a restore. Returns its time."""
    now: datetime = (await connection.execute(ADD, {})).scalar_one()
    return now


IS_RECENT = select(restored_at() > func.now() - text(f"interval '{UNKNOWN_PASSKEYS_DAYS} days'"))


async def was_restored_lately(connection: AsyncConnection) -> bool:
    """Return whether the database was restored in the last month."""
    found: bool = (await connection.execute(IS_RECENT)).scalar_one()
    return found


async def delete_older(
    connection: AsyncConnection, table: Table, than: datetime, max_rows: int
) -> int:
    """Delete up to ``max_rows`` rows that a backup brought back. Returns how many.

    Rows have no column in common but the time of their creation, so they are found by their place.
    """
    place: ColumnElement[str] = literal_column("ctid")
    batch = (
        select(place)
        .select_from(table)
        .where(table.c.created_at < bindparam("than"))
        .limit(bindparam("max_rows"))
    )
    if table is mail:
        batch = batch.where(mail.c.challenge_id.is_not(None))
    statement = delete(table).where(place == func.any(func.array(batch.scalar_subquery())))
    return (await connection.execute(statement, {"than": than, "max_rows": max_rows})).rowcount


# What may have been used, answered or withdrawn since the backup, in the order in which it goes:
# mails before the challenges whose codes and links they would carry.
REVIVED = {
    "mails": mail,
    "reset_requests": reset_request,
    "challenges": challenge,
    "invitations": invitation,
    "recovery_codes": recovery_code,
}
