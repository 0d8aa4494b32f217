"""Databases for tests: one server for the run, one copy of a template for each test."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from service.storage.embedded import EmbeddedServer
from service.storage.schema import migrate

TEMPLATE = "migrated"

# Nothing in a test has to survive a power cut.
FAST_AND_FORGETFUL = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
    "log_line_prefix": "%d: ",
}


class TestServer:
    """A PostgreSQL for the run, with a template that is migrated once."""

    __test__ = False

    def __init__(self, directory: Path) -> None:
        self.embedded = EmbeddedServer(directory, FAST_AND_FORGETFUL)

    def start(self) -> None:
        """Start the server or join it, and make the template if it is not there."""
        self.embedded.start()
        if fetch(self.embedded.url(), "SELECT FROM pg_database WHERE datname = $1", TEMPLATE):
            return
        execute(self.embedded.url(), f"CREATE DATABASE {TEMPLATE}")
        asyncio.run(migrate(self.embedded.url(TEMPLATE)))

    def record_statements(self, database_url: str) -> None:
        """Have the statements logged of all connections to a database that begin from now on."""
        name = name_of(database_url)
        execute(self.embedded.url(), f"ALTER DATABASE {name} SET log_statement = 'all'")

    def statements(self, database_url: str) -> list[str]:
        """The first word of each statement that was sent to a database, so far."""
        logged = rf"^{name_of(database_url)}: LOG:  (?:execute [^:]*|statement):\s+(\w+)"
        return re.findall(logged, self.embedded.log.read_text(), re.MULTILINE)

    @contextmanager
    def database(self, template: str = TEMPLATE) -> Iterator[str]:
        """The address of a database that is gone afterwards."""
        name = f"test_{uuid4().hex}"
        execute(self.embedded.url(), f"CREATE DATABASE {name} TEMPLATE {template}")
        yield self.embedded.url(name)
        execute(self.embedded.url(), f"DROP DATABASE {name} WITH (FORCE)")


def name_of(url: str) -> str:
    return url.split("/")[3].split("?", maxsplit=1)[0]


def execute(url: str, statement: str, *arguments: Any) -> None:
    fetch(url, statement, *arguments)


def fetch(url: str, statement: str, *arguments: Any) -> list[asyncpg.Record]:
    """Run one statement on a connection of its own."""

    async def run() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close()

    # In a thread of its own, for tests that have an event loop running.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, run()).result()


def fetch_value(url: str, statement: str, *arguments: Any) -> Any:
    return fetch(url, statement, *arguments)[0][0]


def locked(url: str, table: str) -> AbstractContextManager[None]:
    """Keep everybody else from reading a table."""
    return held(url, f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")


@contextmanager
def held(url: str, statement: str) -> Iterator[None]:
    """Hold the locks that a statement takes."""
    runner = asyncio.Runner()
    with ThreadPoolExecutor(1) as thread:

        def run(work: Coroutine[Any, Any, Any]) -> Any:
            return thread.submit(runner.run, work).result()

        connection = run(asyncpg.connect(url))
        run(connection.execute("BEGIN"))
        run(connection.execute(statement))
        yield
        run(connection.execute("ROLLBACK"))
        run(connection.close())
        thread.submit(runner.close).result()
