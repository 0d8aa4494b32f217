"""Statements that are sent to asyncpg without SQLAlchemy's execution.

SQLAlchemy compiles them, once; its connections and its pool are used as for all others. What is
left out, the contexts, cursors and greenlets of each execution, is more than half of the CPU time
that a statement takes. That is worth it for the statements of a log-in only.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import asyncpg
from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.compiler import SQLCompiler

# The server became a standby: read_only_sql_transaction.
READ_ONLY = "25006"

_DIALECT = dialect()  # type: ignore[no-untyped-call]


class DirectStatement:
    """A statement that returns at most one row.

    Its parameters have the types of asyncpg, and none is a constant of the statement.
    """

    def __init__(self, statement: ClauseElement) -> None:
        compiled = statement.compile(dialect=_DIALECT)
        if not isinstance(compiled, SQLCompiler) or compiled.positiontup is None:
            raise TypeError("not a statement with positional parameters")
        self._statement: Any = statement
        self._sql = compiled.string
        self._names = tuple(compiled.positiontup)

    async def one_or_none(self, connection: AsyncConnection, parameters: Mapping[str, Any]) -> Any:
        """Execute the statement; return the row, with its columns as attributes, or ``None``."""
        pooled: Any = connection.sync_connection and connection.sync_connection.connection
        # In a transaction SQLAlchemy has to execute it, since it sends BEGIN before the first.
        if pooled.isolation_level != "autocommit":
            return (await connection.execute(self._statement, parameters)).one_or_none()
        driver = pooled.driver_connection
        try:
            record = await driver.fetchrow(self._sql, *(parameters[name] for name in self._names))
        except BaseException as error:
            # The pool must not keep a connection that is broken, or whose statement goes on.
            is_refusal = isinstance(error, asyncpg.PostgresError) and error.sqlstate != READ_ONLY
            if not is_refusal or driver.is_closed():
                await connection.invalidate()
            raise
        return None if record is None else SimpleNamespace(**record)

    async def one(self, connection: AsyncConnection, parameters: Mapping[str, Any]) -> Any:
        """Execute a statement that always returns a row."""
        row = await self.one_or_none(connection, parameters)
        if row is None:
            raise LookupError("a statement returned no row")
        return row
