"""The way to PostgreSQL: one engine for each process, and a time limit on every statement."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
from msgspec import Struct
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

# What a client did not cause and may retry, as classes of SQLSTATE (PostgreSQL, appendix A):
# connection exception, invalid transaction state, transaction rollback, insufficient resources,
# object not in prerequisite state, operator intervention (a cancelled statement is one), I/O error.
PASSING_FAULTS = ("08", "25", "40", "53", "55", "57", "58")


# SQLAlchemy's adapter: cache no statement, and prepare each without a name.
UNPREPARED: dict[str, Any] = {
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": str,
}


class DatabaseUnavailable(Exception):
    """The database gave no answer, or not in time. Whether the statement took effect is unknown."""


class StatementRefused(Exception):
    """PostgreSQL can make nothing of a statement, or a constraint forbids it: a defect."""

    def __init__(self, message: str, statement: str | None = None) -> None:
        super().__init__(message if statement is None else f"{message} in: {statement}")


class Limits(Struct, frozen=True, kw_only=True):
    """Connections of one process, and how long it waits for what, in seconds.

    ``through_pgbouncer`` is for a pooler that gives a connection for a transaction at a time: then
    everything is in one, nothing stays prepared, and the server sets its time limits by itself.
    """

    pool_size: int
    connect: float
    statement: float
    pool_wait: float
    through_pgbouncer: bool = False


# For work that nobody waits for at the other end of a request: migrations, imports.
PATIENT = Limits(pool_size=1, connect=10.0, statement=600.0, pool_wait=10.0)


@contextmanager
def faults_named() -> Iterator[None]:
    """Turn the many faces of an absent database into `DatabaseUnavailable`.

    A statement that PostgreSQL refuses is a defect, `StatementRefused`. What it tells beside its
    message, such as the row that broke a constraint, goes no further: hashes may be in it.
    """
    try:
        yield
    except DBAPIError as error:
        lost = error.connection_invalidated or isinstance(error, InterfaceError)
        if lost or _is_passing(error.orig):
            raise DatabaseUnavailable(_message_of(error.orig)) from None
        refused = StatementRefused(_message_of(error.orig), error.statement)
        raise refused.with_traceback(error.__traceback__) from None
    except asyncpg.PostgresError as error:
        if _is_passing(error):
            raise DatabaseUnavailable(_message_of(error)) from None
        raise StatementRefused(_message_of(error)).with_traceback(error.__traceback__) from None
    except (OSError, TimeoutError, NoFreeConnection, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailable(str(error) or type(error).__name__) from error


def _is_passing(error: BaseException | None) -> bool:
    return (getattr(error, "sqlstate", None) or "").startswith(PASSING_FAULTS)


def _message_of(error: BaseException | None) -> str:
    return str(error).partition("\n")[0]


class Database:
    """PostgreSQL, as the rest of storage uses it.

    ``connect`` gives a connection on which each statement stands alone (neither BEGIN nor COMMIT
    nor ROLLBACK goes over the wire, but for PgBouncer); ``transaction`` one on which all of them
    count, or none.
    Both raise `DatabaseUnavailable` for what is the database's fault, or the network's.
    """

    def __init__(self, url: str, limits: Limits) -> None:
        async def open_connection() -> asyncpg.Connection[asyncpg.Record]:
            return await connect_once(url, limits)

        def create() -> DBAPIConnection:
            adapted: DBAPIConnection = engine.dialect.dbapi.connect(  # type: ignore[union-attr]
                async_creator_fn=open_connection,
                **(UNPREPARED if limits.through_pgbouncer else {}),
            )
            return adapted

        engine = create_async_engine(
            "postgresql+asyncpg://",
            creator=create,
            hide_parameters=True,
            isolation_level="AUTOCOMMIT",
            pool_reset_on_return=None,
            pool_size=limits.pool_size,
            max_overflow=0,
            pool_timeout=limits.pool_wait,
        )
        self._engine = engine
        self._transactional = engine.execution_options(isolation_level="READ COMMITTED")
        self._always_in_transactions = limits.through_pgbouncer

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        if self._always_in_transactions:
            async with self.transaction() as connection:
                yield connection
            return
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
            **(_for_pgbouncer() if limits.through_pgbouncer else _for_postgresql(limits)),
        )
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailable(str(error) or type(error).__name__) from error


def _for_postgresql(limits: Limits) -> dict[str, Any]:
    return {
        "server_settings": {
            "application_name": "ostiary",
            "statement_timeout": f"{limits.statement * 1000:.0f}",
            "idle_in_transaction_session_timeout": f"{limits.statement * 2000:.0f}",
        }
    }


def _for_pgbouncer() -> dict[str, Any]:
    """PgBouncer refuses settings that it does not know, and mixes up what is prepared."""
    return {"server_settings": {"application_name": "ostiary"}, "statement_cache_size": 0}
