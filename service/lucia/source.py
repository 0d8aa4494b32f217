"""Reading the tables of a Lucia v2 site, in PostgreSQL or SQLite, a batch of rows at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import asyncpg
from msgspec import Struct

BATCH = 10_000

Batch = list[tuple[Any, ...]]


class SourceUnreadable(Exception):
    """The source cannot be read as a Lucia v2 site; the message says why."""


class LuciaTable(Struct, frozen=True, kw_only=True):
    """A table of Lucia: its possible names, and the columns that are read."""

    entity: str
    names: tuple[str, ...]
    columns: tuple[str, ...]


# First the names of the Prisma adapter, then those of the SQL adapters' guides.
USERS = LuciaTable(entity="user", names=("User", "auth_user", "user", "users"), columns=("id",))
KEYS = LuciaTable(
    entity="key",
    names=("Key", "user_key", "auth_key", "key"),
    columns=("id", "hashed_password", "user_id"),
)
SESSIONS = LuciaTable(
    entity="session",
    names=("Session", "user_session", "auth_session", "session"),
    columns=("id", "user_id", "active_expires", "idle_expires"),
)


class LuciaSource(Protocol):
    """Reads the tables of a site. Both methods raise `SourceUnreadable`."""

    async def count(self, table: LuciaTable) -> int:
        """Return the number of rows."""
        ...

    def batches(self, table: LuciaTable) -> AsyncIterator[Batch]:
        """Iterate over the rows, a batch at a time."""
        ...


class PostgreSQLSource:
    """A site on PostgreSQL."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def count(self, table: LuciaTable) -> int:
        """Return the number of rows."""
        name = await self._name_of(table)
        return int(await self._connection.fetchval(f"SELECT count(*) FROM {name}"))

    async def batches(self, table: LuciaTable) -> AsyncIterator[Batch]:
        """Iterate over the rows, a batch at a time."""
        name = await self._name_of(table)
        columns = ", ".join(table.columns)
        async with self._connection.transaction(readonly=True):
            cursor = await self._connection.cursor(f"SELECT {columns} FROM {name}")
            while batch := await cursor.fetch(BATCH):
                yield [tuple(row) for row in batch]

    async def _name_of(self, table: LuciaTable) -> str:
        for name in table.names:
            columns = await self._connection.fetch(
                """SELECT column_name FROM information_schema.columns
                   WHERE table_name = $1 AND table_schema = ANY (current_schemas(false))""",
                name,
            )
            if {row["column_name"] for row in columns} >= set(table.columns):
                return _quoted(name)
        raise _no_table(table)


class SQLiteSource:
    """A site on SQLite."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def count(self, table: LuciaTable) -> int:
        """Return the number of rows."""
        name = self._name_of(table)
        return int(self._connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0])

    async def batches(self, table: LuciaTable) -> AsyncIterator[Batch]:
        """Iterate over the rows, a batch at a time."""
        columns = ", ".join(table.columns)
        cursor = self._connection.execute(f"SELECT {columns} FROM {self._name_of(table)}")
        while batch := cursor.fetchmany(BATCH):
            yield batch

    def _name_of(self, table: LuciaTable) -> str:
        for name in table.names:
            columns = self._connection.execute("SELECT name FROM pragma_table_info(?)", (name,))
            if {column for (column,) in columns} >= set(table.columns):
                return _quoted(name)
        raise _no_table(table)


@asynccontextmanager
async def open_source(url: str) -> AsyncIterator[LuciaSource]:
    """Open ``postgresql://…`` or ``sqlite:///path``. Raises `SourceUnreadable`."""
    scheme = urlsplit(url).scheme
    if scheme in {"postgresql", "postgres"}:
        try:
            connection = await asyncpg.connect(url)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise SourceUnreadable(str(error)) from error
        try:
            yield PostgreSQLSource(connection)
        finally:
            await connection.close()
    elif scheme == "sqlite":
        database = _open_sqlite(Path(unquote(urlsplit(url).path.removeprefix("/"))))
        try:
            yield SQLiteSource(database)
        finally:
            database.close()
    else:
        raise SourceUnreadable("The source must be postgresql://… or sqlite:///path.")


def _open_sqlite(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise SourceUnreadable(f"There is no file {path}.")
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        connection.execute("SELECT 1 FROM sqlite_master")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise SourceUnreadable(f"{path}: {error}") from error
    return connection


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _no_table(table: LuciaTable) -> SourceUnreadable:
    names, columns = ", ".join(table.names), ", ".join(table.columns)
    return SourceUnreadable(
        f"No {table.entity} table: none of {names} exists with the columns {columns}."
    )
