"""Cleanup: the statements that delete expired sessions and rate limits in small batches."""

from __future__ import annotations

from sqlalchemy import Text, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

COUNT_PAGES = text(
    "SELECT pg_relation_size('session') / CAST(current_setting('block_size') AS bigint)"
)


async def count_pages(connection: AsyncConnection) -> int:
    """Return the number of pages of the session table."""
    pages: int = (await connection.execute(COUNT_PAGES)).scalar_one()
    return pages


# The key of an advisory lock: one process cleans up at a time. Any constant would do.
CLEANUP_LOCK = 0x7377656570
LOCK_CLEANUP = text("SELECT pg_try_advisory_xact_lock(:lock)")

# A range of pages at a time: there is no index on the expiry times, since renewals change them. A
# locked row is left for the next run.
DELETE_EXPIRED_SESSIONS = text(
    """
    DELETE FROM session WHERE id IN (
        SELECT id FROM session
        WHERE ctid >= CAST(:first AS tid) AND ctid < CAST(:beyond AS tid)
          AND idle_expires_at <= now()
        FOR UPDATE SKIP LOCKED
    )
    """
).bindparams(bindparam("first", type_=Text), bindparam("beyond", type_=Text))


async def delete_expired_sessions(
    connection: AsyncConnection, first_page: int, beyond_page: int
) -> int | None:
    """Delete the dead sessions on a range of pages, in a transaction that holds the lock.

    Returns how many, or ``None`` if another process is cleaning up.
    """
    if not (await connection.execute(LOCK_CLEANUP, {"lock": CLEANUP_LOCK})).scalar_one():
        return None
    result = await connection.execute(
        DELETE_EXPIRED_SESSIONS, {"first": f"({first_page},0)", "beyond": f"({beyond_page},0)"}
    )
    return result.rowcount


DELETE_EXPIRED_RATE_LIMITS = text(
    """
    DELETE FROM rate_limit WHERE bucket IN (
        SELECT bucket FROM rate_limit WHERE tat <= now() LIMIT :max_rows FOR UPDATE SKIP LOCKED
    )
    """
)


async def delete_expired_rate_limits(connection: AsyncConnection, max_rows: int) -> int:
    """Delete up to ``max_rows`` buckets whose attempts are all restored. Returns how many."""
    return (await connection.execute(DELETE_EXPIRED_RATE_LIMITS, {"max_rows": max_rows})).rowcount
