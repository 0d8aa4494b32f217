"""Session look-ups: the statement of every authenticated request.

They use a dedicated connection with prepared statements, without SQLAlchemy's pool and without
transactions; simultaneous look-ups are batched. The SQL is compiled from the same tables as that
of all other statements.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement
from msgspec import Struct
from sqlalchemy import ARRAY, Uuid, any_, bindparam, select, true

from service.metrics import LOOKUP_BATCH_SIZE, LOOKUP_SECONDS
from service.model.deadline import deadline
from service.model.sessions import FoundSession, SecretHash, Session, SessionState
from service.model.users import User
from service.settings.database import DatabaseOptions
from service.storage.batching import Batcher, BatcherClosed
from service.storage.connection import Connection, close_in_background, connect
from service.storage.direct import compiled
from service.storage.errors import DatabaseUnavailable, reason_of, translating_errors
from service.storage.keys import ADDRESS, USER_COLUMNS, decode_metadata
from service.storage.sessions import NOW, SESSION_COLUMNS, decode_methods
from service.storage.tables import session, user

Statement: TypeAlias = "PreparedStatement[asyncpg.Record]"

# While PostgreSQL answers a batch of this size, the service sends the responses of the one before.
# Larger batches come back all at once, with both sides waiting for each other.
MAX_BATCH_SIZE = 32

_LIVE_SESSIONS = (
    select(
        *SESSION_COLUMNS,
        session.c.secret_hash,
        session.c.legacy_cookie,
        (session.c.active_expires_at > NOW).label("is_active"),
        *USER_COLUMNS,
    )
    .select_from(session.join(user).outerjoin(ADDRESS, true()))
    .where(session.c.idle_expires_at > NOW, user.c.disabled_at.is_(None))
)

FIND_LIVE_SESSION = _LIVE_SESSIONS.where(session.c.id == bindparam("session_id"))

FIND_LIVE_SESSIONS = _LIVE_SESSIONS.where(
    session.c.id == any_(bindparam("session_ids", type_=ARRAY(Uuid)))
)

FIND_ONE, _ = compiled(FIND_LIVE_SESSION)
FIND_MANY, _ = compiled(FIND_LIVE_SESSIONS)


class LookupConnection(Struct, frozen=True, kw_only=True):
    """A connection with its prepared statements; through PgBouncer it has none."""

    connection: Connection
    find_one: Statement | None = None
    find_many: Statement | None = None

    async def fetch(self, session_ids: list[UUID], seconds: float) -> list[asyncpg.Record]:
        """Return the rows of the live ones of these sessions. Raises `TimeoutError`."""
        if self.find_one is None or self.find_many is None:
            return await self._fetch_in_transaction(session_ids, seconds)
        if len(session_ids) == 1:
            row = await self.find_one.fetchrow(session_ids[0], timeout=seconds)
            return [] if row is None else [row]
        return await self.find_many.fetch(session_ids, timeout=seconds)

    async def _fetch_in_transaction(
        self, session_ids: list[UUID], seconds: float
    ) -> list[asyncpg.Record]:
        """Keep one connection of PgBouncer's for all messages of the query.

        Without a rollback: after an error the connection is closed.
        """
        async with asyncio.timeout(seconds):
            await self.connection.execute("BEGIN READ ONLY")
            rows = await self.connection.fetch(FIND_MANY, session_ids)
            await self.connection.execute("COMMIT")
        return rows


class SessionLookups:
    """Finds live sessions in the database at ``url``; connects on demand.

    There is one connection, and another one beside it while a query is stuck on the first.
    """

    def __init__(self, url: str, options: DatabaseOptions) -> None:
        self._url = url
        self._options = options
        self._batcher = Batcher(self._look_up, max_batch_size=MAX_BATCH_SIZE)
        self._idle: LookupConnection | None = None
        self._open: set[Connection] = set()
        self._is_closed = False

    async def find(self, session_id: UUID) -> FoundSession | None:
        """Return the live session with this id, and its user.

        Raises `DatabaseUnavailable`, at the deadline of the request at the latest.
        """
        try:
            return await self._batcher.get(session_id, deadline())
        except TimeoutError as error:
            raise DatabaseUnavailable(reason_of(error)) from error
        except BatcherClosed as error:
            raise DatabaseUnavailable("the service stops") from error

    async def close(self) -> None:
        """Fail the look-ups under way and close the connections."""
        self._is_closed = True
        await self._batcher.close()
        for connection in self._open:
            connection.terminate()

    async def _look_up(self, session_ids: list[UUID], until: float) -> Mapping[UUID, FoundSession]:
        try:
            rows = await self._fetch(session_ids, until)
        except DatabaseUnavailable as error:
            if self._is_closed or not error.connection_was_stale:
                raise
            # The server was restarted, for example, or a migration changed a column.
            rows = await self._fetch(session_ids, until)
        return {row[0]: found_session(row) for row in rows}

    async def _fetch(self, session_ids: list[UUID], until: float) -> list[asyncpg.Record]:
        """Fetch on a connection that is kept if all went well, and else closed."""
        lookup, self._idle = self._idle, None
        try:
            with translating_errors():
                if lookup is None or lookup.connection.is_closed():
                    lookup = await self._connect(until - monotonic())
                sent = monotonic()
                seconds = min(self._options.statement_timeout, until - sent)
                rows = await lookup.fetch(session_ids, seconds)
        except BaseException:
            # Cancelled as well: the next look-up must not wait until the statement is cancelled.
            if lookup is not None:
                self._discard(lookup.connection)
            raise
        LOOKUP_SECONDS.observe(monotonic() - sent)
        LOOKUP_BATCH_SIZE.observe(len(session_ids))
        self._keep(lookup)
        return rows

    def _keep(self, lookup: LookupConnection) -> None:
        if self._idle is None:
            self._idle = lookup
        else:
            self._discard(lookup.connection)

    async def _connect(self, seconds: float) -> LookupConnection:
        started = monotonic()
        connection = await connect(self._url, self._options, seconds)
        self._open.add(connection)
        if self._options.pgbouncer:
            return LookupConnection(connection=connection)
        try:
            left = seconds - (monotonic() - started)
            async with asyncio.timeout(min(self._options.connect_timeout, left)):
                # A custom plan for each array would take longer than the look-up itself.
                await connection.execute("SET plan_cache_mode = force_generic_plan")
                return LookupConnection(
                    connection=connection,
                    find_one=await connection.prepare(FIND_ONE),
                    find_many=await connection.prepare(FIND_MANY),
                )
        except BaseException:
            self._discard(connection)
            raise

    def _discard(self, connection: Connection) -> None:
        self._open.discard(connection)
        close_in_background(connection)


def found_session(row: Iterable[Any]) -> FoundSession:
    """Convert a row of `FIND_LIVE_SESSION`."""
    # In one go: it is done for every request.
    (
        session_id,
        user_id,
        created_at,
        renewed_at,
        active_expires_at,
        idle_expires_at,
        absolute_expires_at,
        authenticated_at,
        methods,
        secret_hash,
        legacy_cookie,
        is_active,
        username,
        email,
        email_verified_at,
        roles,
        metadata,
        user_created_at,
    ) = row
    return FoundSession(
        session=Session(
            id=session_id,
            user_id=user_id,
            created_at=created_at,
            renewed_at=renewed_at,
            active_expires_at=active_expires_at,
            idle_expires_at=idle_expires_at,
            absolute_expires_at=absolute_expires_at,
            authenticated_at=authenticated_at,
            methods=decode_methods(methods),
        ),
        user=User(
            id=user_id,
            username=username,
            email=email,
            email_verified_at=email_verified_at,
            roles=roles,
            metadata=decode_metadata(metadata),
            created_at=user_created_at,
        ),
        state=SessionState.ACTIVE if is_active else SessionState.IDLE,
        secret_hash=SecretHash(secret_hash),
        legacy_cookie=legacy_cookie,
    )
