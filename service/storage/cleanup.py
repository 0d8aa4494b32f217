"""Cleanup: the statements that delete what has expired, in batches."""

from __future__ import annotations

from datetime import timedelta

from msgspec import Struct
from sqlalchemy import Interval, Text, TextClause, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection


class Expired(Struct, frozen=True, kw_only=True):
    """The expired rows of a table: the statements that count its pages and delete them."""

    count_pages: TextClause
    delete: TextClause


def _expired(table: str, condition: str) -> Expired:
    """Return the statements for the rows that fulfil a condition; they have an age limit.

    A range of pages at a time: there is no index on the times, since renewals and log-ins change
    them. A locked row is left for the next run.
    """
    return Expired(
        count_pages=text(
            f"SELECT pg_relation_size('{table}') / CAST(current_setting('block_size') AS bigint)"
        ),
        delete=text(
            f"""
            DELETE FROM {table} WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM {table}
                WHERE ctid >= CAST(:first AS tid) AND ctid < CAST(:beyond AS tid)
                  AND {condition}
                FOR UPDATE SKIP LOCKED
            ))
            """  # noqa: S608
        ).bindparams(
            bindparam("first", type_=Text),
            bindparam("beyond", type_=Text),
            bindparam("lifetime", type_=Interval),
        ),
    )


EXPIRED_SESSIONS = _expired("session", "idle_expires_at <= now() - :lifetime")
EXPIRED_DEVICES = _expired("device", "last_seen <= now() - :lifetime")
EXPIRED_HOLDS = _expired("username_hold", "freed_at <= now() - :lifetime")


async def count_pages(connection: AsyncConnection, expired: Expired) -> int:
    """Return the number of pages of the table."""
    pages: int = (await connection.execute(expired.count_pages)).scalar_one()
    return pages


# The key of an advisory lock: one process cleans up at a time. Any constant would do.
CLEANUP_LOCK = 0x7377656570
LOCK_CLEANUP = text("SELECT pg_try_advisory_xact_lock(:lock)")


async def delete_expired(
    connection: AsyncConnection,
    expired: Expired,
    first_page: int,
    beyond_page: int,
    lifetime: float,
) -> int | None:
    """Delete the expired rows on a range of pages, in a transaction that holds the lock.

    ``lifetime`` is how long rows are kept after their time, in seconds. Returns how many, or
    ``None`` if another process is cleaning up.
    """
    if not (await connection.execute(LOCK_CLEANUP, {"lock": CLEANUP_LOCK})).scalar_one():
        return None
    parameters = {
        "first": f"({first_page},0)",
        "beyond": f"({beyond_page},0)",
        "lifetime": timedelta(seconds=lifetime),
    }
    return (await connection.execute(expired.delete, parameters)).rowcount


DELETE_EXPIRED_RATE_LIMITS = text(
    """
    DELETE FROM rate_limit WHERE bucket = ANY (ARRAY(
        SELECT bucket FROM rate_limit WHERE tat <= now() LIMIT :max_rows FOR UPDATE SKIP LOCKED
    ))
    """
)


async def delete_expired_rate_limits(connection: AsyncConnection, max_rows: int) -> int:
    """Delete up to ``max_rows`` buckets whose attempts are all restored. Returns how many."""
    return (await connection.execute(DELETE_EXPIRED_RATE_LIMITS, {"max_rows": max_rows})).rowcount
