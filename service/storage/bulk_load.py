"""Bulk loading of users, keys, identities, sessions: COPY into temporary tables, then one INSERT.

Rows that exist already are left unchanged, so an interrupted load can be run again. What was loaded
is remembered in the table ``imported``, so that a later load does not bring back what has ended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import asyncpg
from msgspec import Struct

from service.storage.connection import ADMIN_TIMEOUTS, connect
from service.storage.errors import translating_errors
from service.storage.identity_load import (
    ADD_IDENTITIES,
    IDENTITIES_NOT_ADDED,
    REMEMBER_IDENTITIES,
    REMOVE_KEYS,
)

# The key of an advisory lock: one load at a time. Any constant would do.
LOAD_LOCK = 0x696D706F7274

INCOMING = """
CREATE TEMPORARY TABLE incoming_user (number int, id uuid);
CREATE TEMPORARY TABLE incoming_key (
    number int, id uuid, provider text, name text, user_id uuid, display_name text,
    password_hash text, password_scheme text);
CREATE TEMPORARY TABLE incoming_identity (
    number int, id uuid, provider text, issuer text, subject text, user_id uuid);
CREATE TEMPORARY TABLE incoming_session (
    number int, id uuid, secret_hash bytea, user_id uuid, active_expires bigint,
    idle_expires bigint);
"""


class LoadRunning(Exception):
    """Another load into the database is under way."""


class Loaded(Struct, frozen=True):
    """How many rows of a batch were new, and the positions of those rejected, with the reasons."""

    new: int
    rejected: list[tuple[int, str]]


class BulkLoad:
    """Loads batches on one connection. A batch is committed, whole, when its method returns."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self.connection = connection

    _ADD_USERS = """
        INSERT INTO "user" (id)
        SELECT id FROM incoming_user
        WHERE NOT EXISTS (
            SELECT FROM imported WHERE kind = 'user' AND imported.id = incoming_user.id)
        ON CONFLICT DO NOTHING
        """

    _REMEMBER_USERS = """
        INSERT INTO imported (kind, id)
        SELECT DISTINCT 'user', id FROM incoming_user JOIN "user" USING (id)
        ON CONFLICT DO NOTHING
        """

    _USERS_NOT_ADDED = """
        SELECT number, 'was deleted since it was imported'
        FROM incoming_user LEFT JOIN "user" USING (id)
        WHERE "user".id IS NULL
        ORDER BY number
        """

    async def users(self, rows: Sequence[tuple[Any, ...]]) -> Loaded:
        """Load rows of (number, id)."""
        return await self._load(
            "incoming_user", rows, self._ADD_USERS, self._REMEMBER_USERS, self._USERS_NOT_ADDED
        )

    _ADD_KEYS = """
        INSERT INTO key (provider, name, user_id, display_name, password_hash, password_scheme,
                         verified_at)
        SELECT DISTINCT ON (provider, name)
               provider, name, user_id, display_name, password_hash, password_scheme,
               CASE WHEN $1 AND provider = 'email' THEN now() END
        FROM incoming_key JOIN "user" ON "user".id = user_id
        WHERE NOT EXISTS (
            SELECT FROM imported WHERE kind = 'key' AND imported.id = incoming_key.id)
        ORDER BY provider, name, number
        ON CONFLICT DO NOTHING
        """

    _REMEMBER_KEYS = """
        INSERT INTO imported (kind, id, user_id)
        SELECT DISTINCT 'key', incoming_key.id, user_id
        FROM incoming_key JOIN key USING (provider, name, user_id, display_name)
        ON CONFLICT DO NOTHING
        """

    _KEYS_NOT_ADDED = """
        SELECT number,
               CASE WHEN remembered_user.id IS NOT NULL AND owner.id IS NULL
                    THEN 'its user was deleted since it was imported'
                    WHEN owner.id IS NULL THEN 'there is no such user'
                    WHEN key.name IS NULL THEN 'was removed since it was imported'
                    WHEN key.user_id <> incoming_key.user_id
                    THEN 'another user has this ' || noun || ', as ' || key.display_name
                    ELSE 'its user already has this ' || noun || ', as ' || key.display_name
               END
        FROM incoming_key
        CROSS JOIN LATERAL (
            SELECT CASE provider WHEN 'email' THEN 'address' ELSE 'name' END AS noun
        ) AS described
        LEFT JOIN "user" AS owner ON owner.id = incoming_key.user_id
        LEFT JOIN imported AS remembered_user
               ON remembered_user.kind = 'user' AND remembered_user.id = incoming_key.user_id
        LEFT JOIN imported AS remembered_key
               ON remembered_key.kind = 'key' AND remembered_key.id = incoming_key.id
        LEFT JOIN key USING (provider, name)
        WHERE owner.id IS NULL
           OR key.name IS NULL
           OR key.user_id <> incoming_key.user_id
           OR key.display_name <> incoming_key.display_name AND remembered_key.id IS NULL
        ORDER BY number
        """

    async def keys(self, rows: Sequence[tuple[Any, ...]], *, emails_verified: bool) -> Loaded:
        """Load rows of (number, id, provider, name, user id, display name, hash, hash scheme)."""
        return await self._load(
            "incoming_key",
            rows,
            self._ADD_KEYS,
            self._REMEMBER_KEYS,
            self._KEYS_NOT_ADDED,
            emails_verified,
        )

    async def identities(self, rows: Sequence[tuple[Any, ...]]) -> Loaded:
        """Load rows of (number, key id, provider, issuer, subject, user id): keys of Lucia."""
        return await self._load(
            "incoming_identity",
            rows,
            ADD_IDENTITIES,
            f"{REMOVE_KEYS}; {REMEMBER_IDENTITIES}",
            IDENTITIES_NOT_ADDED,
        )

    # A first factor ends the sessions of its user, also those that are being imported meanwhile: by
    # a statement of its own, for the next one is to see what the lock was waited for.
    _LOCK_USERS = """
        SELECT FROM "user" WHERE id IN (SELECT user_id FROM incoming_session) ORDER BY id FOR SHARE
        """

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
          AND "user".disabled_at IS NULL
          AND NOT EXISTS (
              SELECT FROM imported WHERE kind = 'session' AND imported.id = incoming_session.id)
          AND NOT EXISTS (
              SELECT FROM totp WHERE totp.user_id = "user".id AND confirmed_at IS NOT NULL)
          AND NOT EXISTS (SELECT FROM passkey WHERE passkey.user_id = "user".id)
        ON CONFLICT DO NOTHING
        """

    _REMEMBER_SESSIONS = """
        INSERT INTO imported (kind, id, user_id)
        SELECT DISTINCT 'session', id, session.user_id
        FROM incoming_session JOIN session USING (id)
        ON CONFLICT DO NOTHING
        """

    _SESSIONS_NOT_ADDED = """
        SELECT number,
               CASE WHEN "user".disabled_at IS NOT NULL THEN 'its user is disabled'
                    WHEN "user".id IS NOT NULL THEN 'its user has set up a second factor'
                    WHEN imported.id IS NULL THEN 'there is no such user'
                    ELSE 'its user was deleted since it was imported'
               END
        FROM incoming_session
        LEFT JOIN "user" ON "user".id = incoming_session.user_id
        LEFT JOIN imported
               ON imported.kind = 'user' AND imported.id = incoming_session.user_id
        LEFT JOIN imported AS remembered
               ON remembered.kind = 'session' AND remembered.id = incoming_session.id
        WHERE "user".id IS NULL
           OR remembered.id IS NULL AND to_timestamp(idle_expires / 1000.0) > now()
              AND ("user".disabled_at IS NOT NULL
                   OR EXISTS (
                       SELECT FROM totp WHERE totp.user_id = "user".id AND confirmed_at IS NOT NULL)
                   OR EXISTS (SELECT FROM passkey WHERE passkey.user_id = "user".id))
        ORDER BY number
        """

    async def sessions(self, rows: Sequence[tuple[Any, ...]], lifetime: timedelta) -> Loaded:
        """Load rows of (number, id, secret hash, user id, active and idle expiry).

        The expiry times are in milliseconds since 1970; no session outlives ``lifetime``. Users who
        have a factor get none, for it has not proven them, nor do those who are disabled.
        """
        return await self._load(
            "incoming_session",
            rows,
            self._ADD_SESSIONS,
            self._REMEMBER_SESSIONS,
            self._SESSIONS_NOT_ADDED,
            lifetime,
            lock=self._LOCK_USERS,
        )

    async def _load(  # noqa: PLR0913
        self,
        table: str,
        rows: Sequence[tuple[Any, ...]],
        add: str,
        remember: str,
        not_added: str,
        *arguments: Any,
        lock: str | None = None,
    ) -> Loaded:
        with translating_errors():
            async with self.connection.transaction():
                await self.connection.execute(f"TRUNCATE {table}")
                await self.connection.copy_records_to_table(table, records=rows)
                if lock is not None:
                    await self.connection.execute(lock)
                status = await self.connection.execute(add, *arguments)
                await self.connection.execute(remember)
                rejected = await self.connection.fetch(not_added)
        return Loaded(int(status.split()[-1]), [tuple(row) for row in rejected])


@asynccontextmanager
async def bulk_load(url: str, *, dry_run: bool) -> AsyncIterator[BulkLoad]:
    """Open a connection for loading; a dry run rolls everything back.

    Raises `DatabaseUnavailable` and `LoadRunning`.
    """
    connection = await connect(url, ADMIN_TIMEOUTS)
    try:
        transaction = connection.transaction()
        with translating_errors():
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOAD_LOCK):
                raise LoadRunning
            await connection.execute(INCOMING)
            if dry_run:
                await transaction.start()
        yield BulkLoad(connection)
        if dry_run:
            with translating_errors():
                await transaction.rollback()
    finally:
        with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.close()
