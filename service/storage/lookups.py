"""Look-ups by id, for the statements of every authenticated request.

They use a dedicated connection with prepared statements, without SQLAlchemy's pool and without
transactions; simultaneous look-ups are batched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement
from msgspec import Struct

from service.metrics.kinds import Histogram
from service.model.deadline import deadline
from service.settings.database import DatabaseOptions
from service.storage.batching import Batcher, BatcherClosed
from service.storage.connection import Connection, close_in_background, connect
from service.storage.errors import DatabaseUnavailable, reason_of, translating_errors

T = TypeVar("T")

Statement: TypeAlias = "PreparedStatement[asyncpg.Record]"

# While PostgreSQL answers a batch of this size, the service sends the responses of the one before.
# Larger batches come back all at once, with both sides waiting for each other.
MAX_BATCH_SIZE = 32


class LookupQuery(Struct, Generic[T], frozen=True, kw_only=True):
    """How rows are looked up: one by its id, those of an array of ids. The first column is the id.

    ``seconds`` and ``batch_size`` are the metrics of the queries.
    """

    find_one: str
    find_many: str
    convert: Callable[[Any], T]
    seconds: Histogram
    batch_size: Histogram


class LookupConnection(Struct, frozen=True, kw_only=True):
    """A connection with its prepared statements; through PgBouncer it has none."""

    connection: Connection
    find_many_text: str
    find_one: Statement | None = None
    find_many: Statement | None = None

    async def fetch(self, ids: list[UUID], seconds: float) -> list[asyncpg.Record]:
        """Return the rows with these ids that there are. Raises `TimeoutError`."""
        if self.find_one is None or self.find_many is None:
            return await self._fetch_in_transaction(ids, seconds)
        if len(ids) == 1:
            row = await self.find_one.fetchrow(ids[0], timeout=seconds)
            return [] if row is None else [row]
        return await self.find_many.fetch(ids, timeout=seconds)

    async def _fetch_in_transaction(self, ids: list[UUID], seconds: float) -> list[asyncpg.Record]:
        """Keep one connection of PgBouncer's for all messages of the query.

        Without a rollback: after an error the connection is closed.
        """
        async with asyncio.timeout(seconds):
            await self.connection.execute("BEGIN READ ONLY")
            rows = await self.connection.fetch(self.find_many_text, ids)
            await self.connection.execute("COMMIT")
        return rows


class Lookups(Generic[T]):
    """Looks rows up in the database at ``url``; connects on demand.

    There is one connection, and another one beside it while a query is stuck on the first.
    """

    def __init__(self, url: str, options: DatabaseOptions, query: LookupQuery[T]) -> None:
        self._url = url
        self._query = query
        self._options = options
        self._batcher = Batcher(self._look_up, max_batch_size=MAX_BATCH_SIZE)
        self._idle: LookupConnection | None = None
        self._open: set[Connection] = set()
        self._is_closed = False

    async def find(self, row_id: UUID) -> T | None:
        """Return what has this id, if it is there.

        Raises `DatabaseUnavailable`, at the deadline of the request at the latest.
        """
        try:
            return await self._batcher.get(row_id, deadline())
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

    async def _look_up(self, ids: list[UUID], until: float) -> Mapping[UUID, T]:
        if len(ids) > 1:
            # Requests of one program at once have one service token.
            ids = list(dict.fromkeys(ids))
        try:
            rows = await self._fetch(ids, until)
        except DatabaseUnavailable as error:
            if self._is_closed or not error.connection_was_stale:
                raise
            # The server was restarted, for example, or a migration changed a column.
            rows = await self._fetch(ids, until)
        convert = self._query.convert
        return {row[0]: convert(row) for row in rows}

    async def _fetch(self, ids: list[UUID], until: float) -> list[asyncpg.Record]:
        """Fetch on a connection that is kept if all went well, and else closed."""
        lookup, self._idle = self._idle, None
        try:
            with translating_errors():
                if lookup is not None and lookup.connection.is_closed():
                    self._discard(lookup.connection)
                    lookup = None
                if lookup is None:
                    lookup = await self._connect(until - monotonic())
                sent = monotonic()
                seconds = min(self._options.statement_timeout, until - sent)
                rows = await lookup.fetch(ids, seconds)
        except BaseException:
            # Cancelled as well: the next look-up must not wait until the statement is cancelled.
            if lookup is not None:
                self._discard(lookup.connection)
            raise
        self._query.seconds.observe(monotonic() - sent)
        self._query.batch_size.observe(len(ids))
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
            return LookupConnection(connection=connection, find_many_text=self._query.find_many)
        try:
            left = seconds - (monotonic() - started)
            async with asyncio.timeout(min(self._options.connect_timeout, left)):
                # A custom plan for each array would take longer than the look-up itself.
                await connection.execute("SET plan_cache_mode = force_generic_plan")
                return LookupConnection(
                    connection=connection,
                    find_many_text=self._query.find_many,
                    find_one=await connection.prepare(self._query.find_one),
                    find_many=await connection.prepare(self._query.find_many),
                )
        except BaseException:
            self._discard(connection)
            raise

    def _discard(self, connection: Connection) -> None:
        self._open.discard(connection)
        close_in_background(connection)
