"""Session look-ups: the statement of every authenticated request.

They use one dedicated connection with prepared statements, without SQLAlchemy's pool and without
transactions; simultaneous look-ups are batched. The SQL is compiled from the same tables as that
of all other statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement
from sqlalchemy import ARRAY, Select, Uuid, any_, bindparam, select
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from service.model.sessions import FoundSession, SecretHash, Session, SessionState
from service.model.users import User
from service.settings.database import DatabaseOptions
from service.storage.batching import Batcher, BatcherClosed
from service.storage.database import DatabaseUnavailable, connect, translating_errors
from service.storage.keys import DISPLAY_NAME
from service.storage.sessions import NOW, SESSION_COLUMNS
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
        DISPLAY_NAME.label("username"),
        user.c.created_at.label("user_created_at"),
    )
    .join_from(session, user)
    .where(session.c.idle_expires_at > NOW)
)

FIND_LIVE_SESSION = _LIVE_SESSIONS.where(session.c.id == bindparam("session_id"))

FIND_LIVE_SESSIONS = _LIVE_SESSIONS.where(
    session.c.id == any_(bindparam("session_ids", type_=ARRAY(Uuid)))
)


def _compiled(statement: Select[*tuple[object, ...]]) -> str:
    return str(statement.compile(dialect=PGDialect_asyncpg()))  # type: ignore[no-untyped-call]


FIND_ONE = _compiled(FIND_LIVE_SESSION)
FIND_MANY = _compiled(FIND_LIVE_SESSIONS)


class SessionLookups:
    """Finds live sessions in the database at ``url``; connects on demand."""

    def __init__(self, url: str, options: DatabaseOptions) -> None:
        self._url = url
        self._options = options
        self._batcher = Batcher(self._look_up, max_batch_size=MAX_BATCH_SIZE)
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._find_one: Statement
        self._find_many: Statement

    async def find(self, session_id: UUID) -> FoundSession | None:
        """Return the live session with this id, and its user. Raises `DatabaseUnavailable`."""
        try:
            return await self._batcher.get(session_id)
        except BatcherClosed as error:
            raise DatabaseUnavailable("the service stops") from error

    async def close(self) -> None:
        """Fail the look-ups under way and close the connection."""
        await self._batcher.close()
        self._disconnect()

    async def _look_up(self, session_ids: list[UUID]) -> Mapping[UUID, FoundSession]:
        try:
            with translating_errors():
                rows = await self._fetch(session_ids)
        except Exception:
            # A migration invalidates prepared statements, for example: the next batch reconnects.
            self._disconnect()
            raise
        return {row[0]: found_session(row) for row in rows}

    async def _fetch(self, session_ids: list[UUID]) -> list[asyncpg.Record]:
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = await self._connect()
        if self._options.pgbouncer:
            async with connection.transaction(readonly=True):
                return await connection.fetch(FIND_MANY, session_ids)
        if len(session_ids) == 1:
            row = await self._find_one.fetchrow(session_ids[0])
            return [] if row is None else [row]
        return await self._find_many.fetch(session_ids)

    async def _connect(self) -> asyncpg.Connection[asyncpg.Record]:
        connection = self._connection = await connect(self._url, self._options)
        if not self._options.pgbouncer:
            try:
                # A custom plan for each array would take longer than the look-up itself.
                await connection.execute("SET plan_cache_mode = force_generic_plan")
                self._find_one = await connection.prepare(FIND_ONE)
                self._find_many = await connection.prepare(FIND_MANY)
            except BaseException:
                # Cancelled as well: no later look-up may find it without its statements.
                self._disconnect()
                raise
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def found_session(row: Iterable[Any]) -> FoundSession:
    """Convert a row of `FIND_LIVE_SESSION`."""
    session_id, user_id, created_at, renewed_at, active_expires_at, idle_expires_at, *more = row
    absolute_expires_at, secret_hash, legacy_cookie, is_active, username, user_created_at = more
    return FoundSession(
        session=Session(
            id=session_id,
            user_id=user_id,
            created_at=created_at,
            renewed_at=renewed_at,
            active_expires_at=active_expires_at,
            idle_expires_at=idle_expires_at,
            absolute_expires_at=absolute_expires_at,
        ),
        user=User(id=user_id, username=username, created_at=user_created_at),
        state=SessionState.ACTIVE if is_active else SessionState.IDLE,
        secret_hash=SecretHash(secret_hash),
        legacy_cookie=legacy_cookie,
    )
