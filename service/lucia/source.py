"""Reading the tables of a Lucia v2 site, in PostgreSQL or SQLite, a batch of rows at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

import asyncpg
from msgspec import Struct

from service.settings.database_url import mistake_in

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


@contextmanager
def translating_source_errors() -> Iterator[None]:
    """Raise `SourceUnreadable` for whatever the source's driver raises."""
    try:
        yield
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise SourceUnreadable(_line(error)) from error
    except (sqlite3.Error, UnicodeError) as error:
        raise SourceUnreadable(_line(error)) from error


class PostgreSQLSource:
    """A site on PostgreSQL."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def count(self, table: LuciaTable) -> int:
        """Return the number of rows."""
        with translating_source_errors():
            name = await self._name_of(table)
            return int(await self._connection.fetchval(f"SELECT count(*) FROM {name}"))

    async def batches(self, table: LuciaTable) -> AsyncIterator[Batch]:
        """Iterate over the rows, a batch at a time."""
        columns = ", ".join(table.columns)
        transaction = self._connection.transaction(readonly=True)
        with translating_source_errors():
            name = await self._name_of(table)
            await transaction.start()
            cursor = await self._connection.cursor(f"SELECT {columns} FROM {name}")
        while True:
            with translating_source_errors():
                batch = await cursor.fetch(BATCH)
            if not batch:
                break
            yield [tuple(row) for row in batch]
        with translating_source_errors():
            await transaction.rollback()

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
        with translating_source_errors():
            name = self._name_of(table)
            return int(self._connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0])

    async def batches(self, table: LuciaTable) -> AsyncIterator[Batch]:
        """Iterate over the rows, a batch at a time."""
        columns = ", ".join(table.columns)
        with translating_source_errors():
            cursor = self._connection.execute(f"SELECT {columns} FROM {self._name_of(table)}")
        while True:
            with translating_source_errors():
                batch = cursor.fetchmany(BATCH)
            if not batch:
                break
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
    scheme, _, rest = url.partition("://")
    if scheme in {"postgresql", "postgres"}:
        connection = await _connect(url)
        try:
            yield PostgreSQLSource(connection)
        finally:
            connection.terminate()
    elif scheme == "sqlite":
        database = _open_sqlite(Path(unquote(rest.removeprefix("/"))))
        try:
            yield SQLiteSource(database)
        finally:
            database.close()
    else:
        raise SourceUnreadable("it must be postgresql://… or sqlite:///path")


async def _connect(url: str) -> asyncpg.Connection[asyncpg.Record]:
    if mistake := mistake_in(url):
        raise SourceUnreadable(f"its URL {mistake}")
    try:
        with translating_source_errors():
            return await asyncpg.connect(url)
    except (ValueError, OverflowError):
        # The message, and the exception itself, may show a part of the password.
        raise SourceUnreadable("its URL cannot be read") from None


def _open_sqlite(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise SourceUnreadable(f"there is no file {path}")
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise SourceUnreadable(f"{path}: {_line(error)}") from error
    # A row with text that is not UTF-8 is rejected later, and not all rows here.
    connection.text_factory = lambda raw: raw.decode(errors="surrogateescape")
    try:
        connection.execute("SELECT 1 FROM sqlite_master")
    except sqlite3.Error as error:
        connection.close()
        raise SourceUnreadable(f"{path}: {_line(error)}") from error
    return connection


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _no_table(table: LuciaTable) -> SourceUnreadable:
    names, columns = ", ".join(table.names), ", ".join(table.columns)
    return SourceUnreadable(
        f"no {table.entity} table: none of {names} can be read, with the columns {columns}"
    )
