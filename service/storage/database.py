"""The way to PostgreSQL: one engine for each process, and a time limit on every statement."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg
from msgspec import Struct
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

# What a client did not cause and may retry, as classes of SQLSTATE (PostgreSQL, appendix A):
# connection exception, invalid transaction state, transaction rollback, insufficient resources,
# object not in prerequisite state, operator intervention (a cancelled statement is one), I/O error.
PASSING_FAULTS = ("08", "25", "40", "53", "55", "57", "58")


class DatabaseUnavailable(Exception):
    """The database gave no answer, or not in time. Whether the statement took effect is unknown."""


class Limits(Struct, frozen=True, kw_only=True):
    """Connections of one process, and how long it waits for what, in seconds."""

    pool_size: int
    connect: float
    statement: float
    pool_wait: float


@contextmanager
def faults_named() -> Iterator[None]:
    """Turn the many faces of an absent database into `DatabaseUnavailable`; let defects through."""
    try:
        yield
    except DBAPIError as error:
        lost = error.connection_invalidated or isinstance(error, InterfaceError)
        if lost or _is_passing(error.orig):
            raise DatabaseUnavailable(str(error.orig)) from error
        raise
    except asyncpg.PostgresError as error:
        if _is_passing(error):
            raise DatabaseUnavailable(str(error)) from error
        raise
    except (OSError, TimeoutError, NoFreeConnection, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailable(str(error) or type(error).__name__) from error


def _is_passing(error: BaseException | None) -> bool:
    return (getattr(error, "sqlstate", None) or "").startswith(PASSING_FAULTS)


class Database:
    """PostgreSQL, as the rest of storage uses it.

    ``connect`` gives a connection on which each statement stands alone (neither BEGIN nor COMMIT
    nor ROLLBACK goes over the wire); ``transaction`` one on which all of them count, or none.
    Both raise `DatabaseUnavailable` for what is the database's fault, or the network's.
    """

    def __init__(self, url: str, limits: Limits) -> None:
        async def open_connection() -> asyncpg.Connection[asyncpg.Record]:
            return await connect_once(url, limits)

        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=open_connection,
            hide_parameters=True,
            isolation_level="AUTOCOMMIT",
            pool_reset_on_return=None,
            pool_size=limits.pool_size,
            max_overflow=0,
            pool_timeout=limits.pool_wait,
        )
        self._engine = engine
        self._transactional = engine.execution_options(isolation_level="READ COMMITTED")

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        with faults_named():
            async with self._engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        with faults_named():
            async with self._transactional.begin() as connection:
                yield connection

    async def close(self) -> None:
        await self._engine.dispose()


async def connect_once(url: str, limits: Limits) -> asyncpg.Connection[asyncpg.Record]:
    """Open one connection, with the time limits set on the server's side as well.

    Raises `DatabaseUnavailable`.
    """
    try:
        return await asyncpg.connect(
            url,
            timeout=limits.connect,
            command_timeout=limits.statement,
            server_settings={
                "application_name": "ostiary",
                "statement_timeout": f"{limits.statement * 1000:.0f}",
                "idle_in_transaction_session_timeout": f"{limits.statement * 2000:.0f}",
            },
        )
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailable(str(error) or type(error).__name__) from error
