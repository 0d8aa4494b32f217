"""Looking sessions up, as every request does: the statement on which the service's speed depends.

It goes over one connection of its own, prepared, without SQLAlchemy's pool and without
transactions around it; look-ups that meet are asked for together. The SQL is compiled from the
same tables as all other statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from service.model import FoundSession, SecretHash, Session, SessionState, User
from service.storage.coalescing import Closed, Coalesced
from service.storage.database import DatabaseUnavailable, Limits, connect_once, faults_named
from service.storage.sessions import FIND_LIVE_SESSION, FIND_LIVE_SESSIONS

Statement: TypeAlias = "PreparedStatement[asyncpg.Record]"

# While PostgreSQL answers so many, the service sends off those before. More would come back all
# at once, with both sides waiting for each other.
MOST_AT_ONCE = 32


def _compiled(statement: Select[*tuple[object, ...]]) -> str:
    return str(statement.compile(dialect=PGDialect_asyncpg()))  # type: ignore[no-untyped-call]


FIND_ONE = _compiled(FIND_LIVE_SESSION)
FIND_MANY = _compiled(FIND_LIVE_SESSIONS)


class SessionLookups:
    """Finds live sessions in the database at ``url``; connects when asked and not connected."""

    def __init__(self, url: str, limits: Limits) -> None:
        self._url = url
        self._limits = limits
        self._coalesced = Coalesced(self._ask, most=MOST_AT_ONCE)
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._find_one: Statement
        self._find_many: Statement

    async def find(self, session_id: UUID) -> FoundSession | None:
        """Find a session with its user, unless it is dead. Raises `DatabaseUnavailable`."""
        try:
            return await self._coalesced.get(session_id)
        except Closed as error:
            raise DatabaseUnavailable("the service stops") from error

    async def close(self) -> None:
        await self._coalesced.close()
        if self._connection is not None:
            self._connection.terminate()

    async def _ask(self, session_ids: list[UUID]) -> Mapping[UUID, FoundSession]:
        try:
            with faults_named():
                rows = await self._fetch(session_ids)
        except Exception:
            # Whatever it was, a migration under a prepared statement included: begin anew.
            self._hang_up()
            raise
        return {row[0]: found_session(row) for row in rows}

    async def _fetch(self, session_ids: list[UUID]) -> list[asyncpg.Record]:
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = await self._connect()
        if self._limits.through_pgbouncer:
            async with connection.transaction(readonly=True):
                return await connection.fetch(FIND_MANY, session_ids)
        if len(session_ids) == 1:
            row = await self._find_one.fetchrow(session_ids[0])
            return [] if row is None else [row]
        return await self._find_many.fetch(session_ids)

    async def _connect(self) -> asyncpg.Connection[asyncpg.Record]:
        connection = await connect_once(self._url, self._limits)
        if not self._limits.through_pgbouncer:
            # An array is planned anew each time otherwise, which takes longer than the look-up.
            await connection.execute("SET plan_cache_mode = force_generic_plan")
            self._find_one = await connection.prepare(FIND_ONE)
            self._find_many = await connection.prepare(FIND_MANY)
        self._connection = connection
        return connection

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def found_session(row: Iterable[Any]) -> FoundSession:
    """Read a row of `FIND_LIVE_SESSION`."""
    session_id, user_id, created_at, renewed_at, active_expires_at, idle_expires_at, *more = row
    secret_hash, is_active, username, joined_at = more
    return FoundSession(
        session=Session(
            id=session_id,
            user_id=user_id,
            created_at=created_at,
            renewed_at=renewed_at,
            active_expires_at=active_expires_at,
            idle_expires_at=idle_expires_at,
        ),
        user=User(id=user_id, username=username, created_at=joined_at),
        state=SessionState.ACTIVE if is_active else SessionState.IDLE,
        secret_hash=SecretHash(secret_hash),
    )
