"""Statements that are sent to asyncpg without SQLAlchemy's execution.

SQLAlchemy compiles them, once, and its pool is used as for all others. What is left out, the
contexts, cursors and greenlets of each execution, is more than half of the CPU time that a
statement takes. That is worth it for the statements of a log-in only.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.util import greenlet_spawn

from service.storage.errors import READ_ONLY

# What a `DirectStatement` is executed on: a connection of `Database.connect` or `transaction`, or a
# bare one of the pool, of `Database.direct`.
AnyConnection: TypeAlias = AsyncConnection | PoolProxiedConnection

_DIALECT = dialect()  # type: ignore[no-untyped-call]


def compiled(statement: ClauseElement) -> tuple[str, tuple[str, ...]]:
    """Return the SQL of a statement for asyncpg, and the names of its parameters in their order.

    Raises `TypeError` if it is no statement with positional parameters.
    """
    compiler = statement.compile(dialect=_DIALECT)
    if not isinstance(compiler, SQLCompiler) or compiler.positiontup is None:
        raise TypeError("not a statement with positional parameters")
    return compiler.string, tuple(compiler.positiontup)


class DirectStatement:
    """A statement whose parameters have the types of asyncpg; none is a constant of it."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement: Any = statement
        self._sql, self._names = compiled(statement)

    async def all(self, connection: AnyConnection, parameters: Mapping[str, Any]) -> list[Any]:
        """Execute the statement; return the rows, with their columns as attributes."""
        if isinstance(connection, AsyncConnection):
            # It may have a transaction, which SQLAlchemy begins before the first statement.
            result = await connection.execute(self._statement, parameters)
            return list(result) if result.returns_rows else []
        driver: Any = connection.driver_connection
        try:
            rows = await driver.fetch(self._sql, *[parameters[name] for name in self._names])
        except BaseException as error:
            # The pool must not keep a connection whose statement goes on, or that only reads. It
            # replaces one that was closed.
            is_refusal = isinstance(error, asyncpg.PostgresError) and error.sqlstate != READ_ONLY
            if not is_refusal:
                await greenlet_spawn(connection.invalidate)
            raise
        return [SimpleNamespace(**row) for row in rows]

    async def one_or_none(self, connection: AnyConnection, parameters: Mapping[str, Any]) -> Any:
        """Execute a statement that returns at most one row; return it, or ``None``."""
        rows = await self.all(connection, parameters)
        return rows[0] if rows else None

    async def one(self, connection: AnyConnection, parameters: Mapping[str, Any]) -> Any:
        """Execute a statement that always returns a row."""
        row = await self.one_or_none(connection, parameters)
        if row is None:
            raise LookupError("a statement returned no row")
        return row
