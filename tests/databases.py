"""Databases for tests: copies of a template, on a server for the run."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, TypeAlias, TypeVar
from uuid import uuid4

import asyncpg
import psutil

from service.embedded_postgres import EmbeddedPostgres
from service.storage.schema import migrate
from tests.services import wait_for

T = TypeVar("T")
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

TEMPLATE = "migrated"

# No data of a test must survive a crash.
NOT_DURABLE = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "400",
    # Each database is too small, and each test too short, for its work to be of use.
    "autovacuum": "off",
    "log_line_prefix": "%d %p %a: ",
}

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - as tmpfs(5) has it; the directories in it are private

# What the databases of a run take at most, in bytes.
ROOM = 4 * 1024**3


@contextmanager
def searchable_directory() -> Iterator[Path]:
    """Make a directory for that of an embedded server, which PostgreSQL's account can search.

    Not below pytest's base directory: every run of root's pytest makes that one private again. In
    memory if there is room: creating the files of databases took a third of the time of the tests.
    """
    with TemporaryDirectory(prefix="ostiary-tests-", dir=_memory()) as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


def _memory() -> str | None:
    """Return the directory of a file system in memory with room for the databases, if any."""
    try:
        has_room = disk_usage(SHARED_MEMORY).free > ROOM and os.access(SHARED_MEMORY, os.W_OK)
    except OSError:
        has_room = False
    return SHARED_MEMORY if has_room else None


class TestServer:
    """A PostgreSQL server for the run, with a template that is migrated once.

    A copy of the template is used by one test after another, since making one takes a hundred times
    as long as emptying it.
    """

    __test__ = False

    def __init__(self, directory: Path) -> None:
        self.embedded = EmbeddedPostgres(directory, NOT_DURABLE)
        self._unused: list[str] = []
        self._definitions: list[asyncpg.Record] | None = None

    def start(self) -> None:
        """Start the server, or join it, and migrate the template unless it exists."""
        self.embedded.start()
        if fetch(self.embedded.url(), "SELECT FROM pg_database WHERE datname = $1", TEMPLATE):
            return
        execute(self.embedded.url(), f"CREATE DATABASE {TEMPLATE}")
        asyncio.run(migrate(self.embedded.url(TEMPLATE)))

    def stop(self) -> None:
        """Leave nothing behind, and stop the server unless others use it."""
        for name in self._unused:
            self._drop(name)
        self.embedded.stop()

    def record_statements(self, database_url: str) -> None:
        """Log the statements of all later connections to a database."""
        name = name_of(database_url)
        execute(self.embedded.url(), f"ALTER DATABASE {name} SET log_statement = 'all'")

    def statements(self, database_url: str) -> list[str]:
        """Return the first word of each statement that was sent to a database."""
        return [re.split(r"\W", each, maxsplit=1)[0] for _, each in self._logged(database_url)]

    def transactions(self, database_url: str) -> list[tuple[str, ...]]:
        """Return the statements that were sent to a database, by transaction.

        One outside of transactions is alone. The order is that in which transactions ended.
        """
        ended, under_way = [], dict[str, list[str]]()
        for connection, statement in self._logged(database_url):
            if connection in under_way:
                under_way[connection].append(statement)
                if statement.startswith(("COMMIT", "ROLLBACK")):
                    ended.append(tuple(under_way.pop(connection)))
            elif statement.startswith("BEGIN"):
                under_way[connection] = [statement]
            else:
                ended.append((statement,))
        return ended

    def has_executed(self, database_url: str, statement: str) -> bool:
        """Return whether a statement that begins like this was sent to a database."""
        return any(each.startswith(statement) for _, each in self._logged(database_url))

    def _logged(self, database_url: str) -> list[tuple[str, str]]:
        """Return the statements that were sent to a database, each with its connection's process.

        Those of `execute` and `fetch` are left out. Further lines of a statement are indented.
        """
        statement = r"LOG:  (?:execute [^:]*|statement):\s+(\S.*(?:\n\t.*)*)"
        logged = rf"^{name_of(database_url)} (\d+) (?!{KEPT}:).*?: {statement}"
        return re.findall(logged, self.embedded.log.read_text(), re.MULTILINE)

    @contextmanager
    def database(self, template: str = TEMPLATE) -> Iterator[str]:
        """Return the URL of an empty database that nothing else uses."""
        if template == TEMPLATE and self._unused:
            name = self._unused.pop()
        else:
            name = f"test_{uuid4().hex}"
            execute(self.embedded.url(), f"CREATE DATABASE {name} TEMPLATE {template}")
            if template == TEMPLATE and self._definitions is None:
                self._definitions = fetch(self.embedded.url(name), DEFINITIONS)
        try:
            yield self.embedded.url(name)
        finally:
            if template == TEMPLATE and self._reset(name):
                self._unused.append(name)
            else:
                self._drop(name)

    def is_as_migrated(self, url: str) -> bool:
        """Return whether a database has the definitions of the template, and no others."""
        return fetch(url, DEFINITIONS) == self._definitions

    def _reset(self, name: str) -> bool:
        """Empty a database; return whether it may be used again: nothing else in it has changed."""
        try:
            delete_all_rows(self.embedded.url(name), TERMINATE_ALL_OTHERS)
            return self.is_as_migrated(self.embedded.url(name))
        except (asyncpg.PostgresError, OSError):
            return False

    def _drop(self, name: str) -> None:
        execute(self.embedded.url(), f"DROP DATABASE {name} WITH (FORCE)")


def servers_in(directory: Path) -> list[psutil.Process]:
    """Find the PostgreSQL servers with data below a directory."""
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        command = process.info["cmdline"] or []
        if process.info["name"] == "postgres" and any(str(directory) in part for part in command):
            found.append(process)
    return found


def name_of(url: str) -> str:
    return url.split("/")[3].split("?", maxsplit=1)[0]


def execute(url: str, statement: str, *arguments: Any) -> None:
    """Run a statement on a connection of its own; without arguments also several statements."""
    on_connection(url, lambda connection: connection.execute(statement, *arguments))


def fetch(url: str, statement: str, *arguments: Any) -> list[asyncpg.Record]:
    """Return the rows of a statement, which runs on a connection of its own."""
    return on_connection(url, lambda connection: connection.fetch(statement, *arguments))


def on_connection(url: str, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
    """Return the result of ``work`` on a connection that nothing else uses meanwhile."""
    return _kept_connections(os.getpid()).run(url, work)


class KeptConnections:
    """The connections of tests, kept open: opening one takes ten times as long as a statement.

    They have an event loop in a thread of its own, for tests that have one running.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._unused: dict[str, Connection] = {}
        Thread(target=self._loop.run_forever, daemon=True).start()

    def run(self, url: str, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        """Return the result of ``work`` on a connection."""
        return asyncio.run_coroutine_threadsafe(self._run(url, work), self._loop).result()

    async def _run(self, url: str, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        connection = self._unused.pop(url, None)
        if connection is None or connection.is_closed():
            settings = {"application_name": KEPT}
            connection = await asyncpg.connect(url, server_settings=settings)
        try:
            result = await work(connection)
        except BaseException:
            connection.terminate()
            raise
        await self._keep(url, connection)
        return result

    async def _keep(self, url: str, connection: Connection) -> None:
        """Keep a connection; those beyond `MAX_KEPT`, the oldest first, are closed."""
        self._unused.setdefault(url, connection)
        surplus = [] if self._unused[url] is connection else [connection]
        while len(self._unused) > MAX_KEPT:
            surplus.append(self._unused.pop(next(iter(self._unused))))
        for each in surplus:
            each.terminate()


@cache
def _kept_connections(process: int) -> KeptConnections:
    """Return those of a process: one that was forked has none yet."""
    return KeptConnections()


def fetch_value(url: str, statement: str, *arguments: Any) -> Any:
    return fetch(url, statement, *arguments)[0][0]


# The name of connections that are kept for other tests, and the number of those.
KEPT = "ostiary-tests"
MAX_KEPT = 4

# Each has ended when the statement returns.
TERMINATE_ALL_OTHERS = """
SELECT pg_terminate_backend(pid, 60_000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()"""

# Connections that a test opened itself and forgot, or that are about to end.
TERMINATE_OTHERS = f"{TERMINATE_ALL_OTHERS} AND application_name NOT IN ('ostiary', '{KEPT}')"

# How many definitions there are of each kind, and which transaction made the newest: that is the
# same in a copy. What a test defines, changes or drops shows.
DEFINITIONS = f"""
{
    " UNION ALL ".join(
        f"SELECT '{catalog}', count(*), max(CAST(CAST(xmin AS text) AS bigint)) FROM {catalog}"
        for catalog in (
            *("pg_class", "pg_attribute", "pg_attrdef", "pg_constraint", "pg_index", "pg_proc"),
            *("pg_trigger", "pg_rewrite", "pg_type", "pg_namespace", "pg_default_acl"),
        )
    )
}
UNION ALL SELECT version_num, 0, 0 FROM alembic_version
UNION ALL SELECT 'settings', count(*), 0
FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase
WHERE datname = current_database()
"""

# The locks wait for statements under way, in the order of the background tasks that lock several
# tables. TRUNCATE takes longer, since it makes new files.
LOCK = """
LOCK TABLE reset_request, "user", key, session, device, rate_limit, imported, username_hold,
    sealed_secret, challenge, claimed_nonce, mail, service_token, invitation, signing_key, restore
    IN EXCLUSIVE MODE;
"""

ERASE = """
DELETE FROM "user";
DELETE FROM sealed_secret;
DELETE FROM signing_key;
DELETE FROM challenge;
DELETE FROM claimed_nonce;
DELETE FROM reset_request;
DELETE FROM rate_limit;
DELETE FROM imported;
DELETE FROM username_hold;
DELETE FROM service_token;
DELETE FROM invitation;
DELETE FROM restore;
"""


# The ids of mails of tests that are over: a service may have been about to send one.
erased_mails: set[str] = set()


def delete_all_rows(url: str, terminate: str = TERMINATE_OTHERS) -> None:
    """Empty all tables, once no connection but those of services is left, and those idle."""

    async def erase(connection: Connection) -> list[asyncpg.Record]:
        await connection.execute(f"{terminate}; BEGIN; {LOCK}")
        mails = await connection.fetch("DELETE FROM mail RETURNING id")
        await connection.execute(f"{ERASE}; COMMIT")
        return mails

    erased_mails.update(str(row["id"]) for row in on_connection(url, erase))


def locked(url: str, table: str) -> AbstractContextManager[None]:
    """Lock a table against all other use."""
    return held(url, f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")


def uncommitted(url: str, statement: str) -> AbstractContextManager[None]:
    """Make a change, with its locks, that is committed in the end."""
    return held(url, statement, end="COMMIT")


def result_during(url: str, change: str, call: Callable[[], T]) -> T:
    """Return the result of a call that waits for a change, which is then committed.

    Fails if nothing waits for a lock in time; the change is rolled back then.
    """
    transaction = ExitStack()
    transaction.enter_context(uncommitted(url, change))

    def commit() -> None:
        with transaction:
            wait_for_lock_waiters(url)

    # The call stays in this thread, as it may fork: a process forked in a thread of a pool fails at
    # its exit, where that thread would join itself.
    with ThreadPoolExecutor(1) as pool:
        committed = pool.submit(commit)
        result = call()
        committed.result()
    return result


# How many connections to this database wait for a lock.
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0
"""


def wait_until(url: str, condition: str) -> None:
    """Query a database until a condition is true."""
    wait_for(lambda: fetch_value(url, f"SELECT {condition}"), condition)


def wait_for_lock_waiters(url: str, number: int = 1) -> None:
    """Wait until so many connections wait for a lock."""
    wait_until(url, f"({WAITING}) >= {number}")


@contextmanager
def held(url: str, statement: str, *, end: str = "ROLLBACK") -> Iterator[None]:
    """Hold the locks of a statement."""
    runner = asyncio.Runner()
    with ThreadPoolExecutor(1) as thread:

        def run(work: Coroutine[Any, Any, Any]) -> Any:
            return thread.submit(runner.run, work).result()

        connection = run(asyncpg.connect(url))
        run(connection.execute("BEGIN"))
        run(connection.execute(statement))
        try:
            yield
            run(connection.execute(end))
        finally:
            run(connection.close())
            thread.submit(runner.close).result()
