"""Bulk loading of users, keys and sessions: COPY into temporary tables, then one INSERT.

Rows that exist already are left unchanged, so an interrupted load can be run again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
from msgspec import Struct

from service.storage.database import ADMIN_TIMEOUTS, DatabaseUnavailable, connect

INCOMING = """
CREATE TEMPORARY TABLE incoming_user (id uuid);
CREATE TEMPORARY TABLE incoming_key (
    number int, provider text, name text, user_id uuid, display_name text, password_hash text,
    password_scheme text);
CREATE TEMPORARY TABLE incoming_session (
    number int, id uuid, secret_hash bytea, user_id uuid, active_expires bigint,
    idle_expires bigint);
"""


class Loaded(Struct, frozen=True):
    """How many rows of a batch were new, and the positions of those rejected, with the reasons."""

    new: int
    rejected: list[tuple[int, str]]


class BulkLoad:
    """Loads batches on one connection. A batch is committed, whole, when its method returns."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    _ADD_USERS = """
        INSERT INTO "user" (id) SELECT id FROM incoming_user ON CONFLICT DO NOTHING
        """

    async def users(self, ids: Sequence[tuple[Any, ...]]) -> Loaded:
        """Load rows of (id)."""
        return await self._load("incoming_user", ids, self._ADD_USERS, None)

    _ADD_KEYS = """
        INSERT INTO key (provider, name, user_id, display_name, password_hash, password_scheme)
        SELECT DISTINCT ON (provider, name)
               provider, name, user_id, display_name, password_hash, password_scheme
        FROM incoming_key JOIN "user" ON "user".id = user_id
        ORDER BY provider, name, number
        ON CONFLICT DO NOTHING
        """

    _KEYS_NOT_ADDED = """
        SELECT number,
               CASE WHEN owner.id IS NULL THEN 'there is no such user'
                    WHEN key.user_id <> incoming_key.user_id
                    THEN 'another user has this name, as ' || key.display_name
                    ELSE 'its user already has this name, as ' || key.display_name
               END
        FROM incoming_key
        LEFT JOIN "user" AS owner ON owner.id = incoming_key.user_id
        LEFT JOIN key USING (provider, name)
        WHERE owner.id IS NULL
           OR key.user_id <> incoming_key.user_id
           OR key.display_name <> incoming_key.display_name
        ORDER BY number
        """

    async def keys(self, rows: Sequence[tuple[Any, ...]]) -> Loaded:
        """Load rows of (number, provider, name, user id, display name, hash, hash scheme)."""
        return await self._load("incoming_key", rows, self._ADD_KEYS, self._KEYS_NOT_ADDED)

    # Lucia does not store when a session was opened: its maximum lifetime $1 begins at the import.
    _ADD_SESSIONS = """
        INSERT INTO session (id, secret_hash, user_id, active_expires_at, idle_expires_at,
                             absolute_expires_at)
        SELECT incoming_session.id, secret_hash, user_id,
               least(to_timestamp(active_expires / 1000.0), now() + $1),
               least(to_timestamp(idle_expires / 1000.0), now() + $1),
               now() + $1
        FROM incoming_session JOIN "user" ON "user".id = user_id
        WHERE to_timestamp(idle_expires / 1000.0) > now()
        ON CONFLICT DO NOTHING
        """

    _SESSIONS_NOT_ADDED = """
        SELECT number, 'there is no such user'
        FROM incoming_session LEFT JOIN "user" ON "user".id = user_id
        WHERE "user".id IS NULL
        ORDER BY number
        """

    async def sessions(self, rows: Sequence[tuple[Any, ...]], lifetime: timedelta) -> Loaded:
        """Load rows of (number, id, secret hash, user id, active and idle expiry).

        The expiry times are in milliseconds since 1970; no session outlives ``lifetime``.
        """
        return await self._load(
            "incoming_session", rows, self._ADD_SESSIONS, self._SESSIONS_NOT_ADDED, lifetime
        )

    async def _load(
        self,
        table: str,
        rows: Sequence[tuple[Any, ...]],
        add: str,
        not_added: str | None,
        *arguments: Any,
    ) -> Loaded:
        async with self._connection.transaction():
            await self._connection.execute(f"TRUNCATE {table}")
            await self._connection.copy_records_to_table(table, records=rows)
            status = await self._connection.execute(add, *arguments)
            rejected = [] if not_added is None else await self._connection.fetch(not_added)
        return Loaded(int(status.split()[-1]), [tuple(row) for row in rejected])


@asynccontextmanager
async def bulk_load(url: str, *, dry_run: bool) -> AsyncIterator[BulkLoad]:
    """Open a connection for loading; a dry run rolls everything back.

    Raises `DatabaseUnavailable`.
    """
    connection = await connect(url, ADMIN_TIMEOUTS)
    try:
        await connection.execute(INCOMING)
        transaction = connection.transaction()
        if dry_run:
            await transaction.start()
        yield BulkLoad(connection)
        if dry_run:
            await transaction.rollback()
    except (OSError, TimeoutError, asyncpg.PostgresConnectionError) as error:
        raise DatabaseUnavailable(str(error) or type(error).__name__) from error
    finally:
        await connection.close(timeout=5)
