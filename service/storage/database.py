"""Connections to PostgreSQL: one engine for each process, a time limit on every statement."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from service.settings.database import DatabaseOptions
from service.settings.values import Duration

# Errors that the client did not cause and may retry, as classes of SQLSTATE (PostgreSQL, appendix
# A): connection exception, invalid transaction state, transaction rollback, insufficient resources,
# object not in prerequisite state, operator intervention (statement timeouts too), system error.
TRANSIENT_SQLSTATES = ("08", "25", "40", "53", "55", "57", "58")

# Options of SQLAlchemy's asyncpg adapter: cache no statement, and prepare each without a name. The
# adapter has no option to prepare none (sqlalchemy/sqlalchemy#6467, open with 2.1).
UNPREPARED: dict[str, Any] = {
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": str,
}

# For work that no request waits for: migrations, imports.
ADMIN_TIMEOUTS = DatabaseOptions(
    pool_size=1,
    pool_timeout=Duration.parse("10s"),
    connect_timeout=Duration.parse("10s"),
    statement_timeout=Duration.parse("10m"),
)


class DatabaseUnavailable(Exception):
    """The database cannot be used at present. Whether the statement took effect is unknown."""


class StatementRefused(Exception):
    """PostgreSQL rejected a statement: a defect of the service."""

    def __init__(self, reason: str, statement: str | None = None) -> None:
        super().__init__(reason if statement is None else f"{reason} in: {statement}")
        self.reason = reason


@contextmanager
def translating_errors() -> Iterator[None]:
    """Translate the errors of SQLAlchemy and asyncpg.

    Raises `DatabaseUnavailable` for transient errors and `StatementRefused` for others. Only the
    first line of PostgreSQL's message is kept: the details may show a row, with a hash in it.
    """
    try:
        yield
    except DBAPIError as error:
        lost = error.connection_invalidated or isinstance(error, InterfaceError)
        if lost or _is_transient(error.orig):
            raise DatabaseUnavailable(_message_of(error.orig)) from None
        refused = StatementRefused(_message_of(error.orig), error.statement)
        raise refused.with_traceback(error.__traceback__) from None
    except asyncpg.PostgresError as error:
        if _is_transient(error):
            raise DatabaseUnavailable(_message_of(error)) from None
        raise StatementRefused(_message_of(error)).with_traceback(error.__traceback__) from None
    except (OSError, TimeoutError, NoFreeConnection, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailable(str(error) or type(error).__name__) from error


def _is_transient(error: BaseException | None) -> bool:
    return (getattr(error, "sqlstate", None) or "").startswith(TRANSIENT_SQLSTATES)


def _message_of(error: BaseException | None) -> str:
    return str(error).partition("\n")[0]


class Database:
    """A pool of connections to PostgreSQL.

    On a connection of `connect` each statement commits by itself: no BEGIN, COMMIT or ROLLBACK is
    sent (except through PgBouncer). On one of `transaction` all statements commit together, or
    none. Both raise `DatabaseUnavailable` for errors of the database or the network.
    """

    def __init__(self, url: str, options: DatabaseOptions) -> None:
        async def open_connection() -> asyncpg.Connection[asyncpg.Record]:
            return await connect(url, options)

        # What `async_creator` does, which cannot pass on the adapter's options (SQLAlchemy 2.1).
        def create() -> DBAPIConnection:
            adapted: DBAPIConnection = engine.dialect.dbapi.connect(  # type: ignore[union-attr]
                async_creator_fn=open_connection,
                **(UNPREPARED if options.pgbouncer else {}),
            )
            return adapted

        engine = create_async_engine(
            "postgresql+asyncpg://",
            creator=create,
            hide_parameters=True,
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
            async with self._engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Take a connection from the pool and begin a transaction; an exception rolls it back."""
        with translating_errors():
            async with self._transactional.begin() as connection:
                yield connection

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()


async def connect(url: str, options: DatabaseOptions) -> asyncpg.Connection[asyncpg.Record]:
    """Open a connection whose time limits hold on the server's side as well.

    Raises `DatabaseUnavailable`.
    """
    try:
        return await asyncpg.connect(
            url,
            timeout=options.connect_timeout,
            command_timeout=options.statement_timeout,
            **(_pgbouncer_options() if options.pgbouncer else _postgresql_options(options)),
        )
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailable(str(error) or type(error).__name__) from error
    except ValueError:
        # The message, and the exception itself, may show a part of the password.
        raise DatabaseUnavailable("its URL cannot be read") from None


def _postgresql_options(options: DatabaseOptions) -> dict[str, Any]:
    return {
        "server_settings": {
            "application_name": "ostiary",
            "statement_timeout": f"{options.statement_timeout * 1000:.0f}",
            "idle_in_transaction_session_timeout": f"{options.statement_timeout * 2000:.0f}",
        }
    }


def _pgbouncer_options() -> dict[str, Any]:
    """Leave out what PgBouncer refuses (unknown settings) or mixes up (prepared statements)."""
    return {"server_settings": {"application_name": "ostiary"}, "statement_cache_size": 0}
