"""The pool of connections: one engine for each process, a time limit on every statement."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from time import monotonic
from typing import Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from service.metrics import POOL_WAIT_SECONDS
from service.model.deadline import time_limit
from service.settings.database import DatabaseOptions
from service.storage.connection import CLOSE_TIMEOUT, Connection, connect, wait_for_closing
from service.storage.direct import AnyConnection
from service.storage.errors import (
    READ_ONLY,
    DatabaseUnavailable,
    driver_error,
    translating_errors,
)

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C")

# Options of SQLAlchemy's asyncpg adapter: cache no statement, and prepare each without a name. The
# adapter has no option to prepare none (sqlalchemy/sqlalchemy#6467, open with 2.1).
UNPREPARED: dict[str, Any] = {
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": str,
}


# Calls for when the transaction of a connection has been committed. Not in its ``info``: that of a
# connection that was lost cannot be reached.
_after_commit: WeakKeyDictionary[AsyncConnection, list[Callable[[], object]]] = WeakKeyDictionary()


def on_commit(connection: AsyncConnection, call: Callable[[], object]) -> None:
    """Call this when the transaction of a connection of `Database.transaction` was committed."""
    _after_commit[connection].append(call)


def create_engine(url: str, options: DatabaseOptions, **engine_options: Any) -> AsyncEngine:
    """Return an engine whose connections are opened by `connect`, and discarded when they fail."""

    async def open_connection() -> Connection:
        return await connect(url, options)

    # What `async_creator` does, which cannot pass on the adapter's options (SQLAlchemy 2.1).
    def create() -> DBAPIConnection:
        adapted: DBAPIConnection = engine.dialect.dbapi.connect(  # type: ignore[union-attr]
            async_creator_fn=open_connection,
            **(UNPREPARED if options.pgbouncer else {}),
        )
        return adapted

    engine = create_async_engine(
        "postgresql+asyncpg://", creator=create, hide_parameters=True, **engine_options
    )
    event.listen(engine.sync_engine, "handle_error", _discard_unusable)
    event.listen(engine.sync_engine.pool, "checkout", _require_open)
    return engine


def _discard_unusable(context: ExceptionContext) -> None:
    """Decide whether a connection that had an error is used again."""
    error = driver_error(context.original_exception)
    if getattr(error, "sqlstate", None) == READ_ONLY:
        # The server became a standby: all connections to it are to be opened again.
        context.is_disconnect = True
    elif isinstance(error, TimeoutError | asyncpg.InternalClientError):
        # Its statement is still being cancelled, or its state is unknown.
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False


def _require_open(connection: Any, *_: object) -> None:
    """Open all connections of the pool again if this one was closed by the server meanwhile."""
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError


class Database:
    """A pool of connections to PostgreSQL.

    On a connection of `connect` or `direct` each statement commits by itself: no BEGIN, COMMIT or
    ROLLBACK is sent (except through PgBouncer). On one of `transaction` all statements commit
    together, or none. All methods raise `DatabaseUnavailable` for errors of the database or the
    network, and when the deadline of the request has come.
    """

    def __init__(self, url: str, options: DatabaseOptions) -> None:
        engine = create_engine(
            url,
            options,
            isolation_level="AUTOCOMMIT",
            pool_reset_on_return=None,
            pool_size=options.pool_size,
            max_overflow=0,
            pool_timeout=options.pool_timeout,
        )
        self._engine = engine
        self._transactional = engine.execution_options(isolation_level="READ COMMITTED")
        self._always_in_transactions = options.pgbouncer

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """Take a connection from the pool, in autocommit mode."""
        if self._always_in_transactions:
            async with self.transaction() as connection:
                yield connection
            return
        with translating_errors():
            asked = monotonic()
            async with time_limit(), self._engine.connect() as connection:
                POOL_WAIT_SECONDS.observe(monotonic() - asked)
                yield connection

    @asynccontextmanager
    async def direct(self) -> AsyncIterator[AnyConnection]:
        """Take a connection from the pool for a `DirectStatement`.

        It is like one of `connect`, without what SQLAlchemy adds to it.
        """
        if self._always_in_transactions:
            async with self.transaction() as connection:
                yield connection
            return
        with translating_errors():
            asked = monotonic()
            async with time_limit():
                pooled = await self._engine.raw_connection()
                POOL_WAIT_SECONDS.observe(monotonic() - asked)
                try:
                    yield pooled
                finally:
                    pooled.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Take a connection from the pool and begin a transaction; an exception rolls it back."""
        calls: list[Callable[[], object]] = []
        with translating_errors():
            asked = monotonic()
            async with time_limit(), self._transactional.begin() as connection:
                POOL_WAIT_SECONDS.observe(monotonic() - asked)
                _after_commit[connection] = calls
                yield connection
        for call in calls:
            call()

    async def with_retry(
        self,
        query: Callable[Concatenate[AsyncConnection, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Return the result of a query that may be executed twice, as one that changes nothing.

        If its connection turns out to be stale, after a restart of the server for example, the
        query is executed once more on a fresh one. The first execution may have taken effect.
        """
        return await _with_retry(self.connect, query, *args, **kwargs)

    async def with_retry_direct(self, query: Callable[[AnyConnection], Awaitable[T]]) -> T:
        """Return the result of a `DirectStatement` that may be executed twice, as `with_retry`."""
        return await _with_retry(self.direct, query)

    async def close(self) -> None:
        """Close all connections; those to a server that does not answer are abandoned."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._engine.dispose()
                await wait_for_closing()


async def _with_retry(
    take_connection: Callable[[], AbstractAsyncContextManager[C]],
    query: Callable[Concatenate[C, P], Awaitable[T]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    try:
        async with take_connection() as connection:
            return await query(connection, *args, **kwargs)
    except DatabaseUnavailable as error:
        if not error.connection_was_stale:
            raise
    async with take_connection() as connection:
        return await query(connection, *args, **kwargs)
