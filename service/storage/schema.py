"""The schema: migrate a database to a revision, and read the revision it is at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

from msgspec import Struct
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.settings.database import DatabaseOptions
from service.storage.concurrent_indexes import LOCK_NOT_AVAILABLE, build_indexes
from service.storage.connection import ADMIN_TIMEOUTS
from service.storage.database import create_engine
from service.storage.errors import DatabaseUnavailable, translating_errors

MIGRATIONS = Path(__file__).parent / "migrations"

# The key of an advisory lock. Any constant would do; this one is "ostiary" in hexadecimal.
MIGRATION_LOCK = 0x6F737469617279

DEADLOCK_DETECTED = "40P01"

# How often a machine looks whether another one still migrates, in seconds.
LOCK_PAUSE = 0.1


class UnknownRevision(Exception):
    """The database is at, or is to be migrated to, a revision that this version does not have."""


class Migration(Struct, frozen=True, kw_only=True):
    """The revisions before and after a migration; ``None`` is an empty database."""

    before: str | None
    after: str | None


class LockPatience(Struct, frozen=True, kw_only=True):
    """How long a migration waits for a lock, in seconds, and how often it tries.

    While it waits, requests for the same table queue behind it. So it does not wait long, lets
    them pass, and tries again.
    """

    timeout: float = 2.0
    attempts: int = 30
    pause: float = 1.0
    # An index that is built concurrently lets requests pass while it waits.
    index_timeout: float = 600.0


class SchemaState(Struct, frozen=True, kw_only=True):
    """The revision of a database, ``None`` before the first one, and whether it takes no writes."""

    revision: str | None
    is_read_only: bool


def revisions() -> list[str]:
    """Return all revisions, oldest first, from the names of their files."""
    return sorted(path.name.partition("_")[0] for path in MIGRATIONS.glob("versions/*_*.py"))


def is_behind(revision: str | None) -> bool:
    """Return whether migrations are missing. A greater revision belongs to a later version."""
    return revision is None or revision < revisions()[-1]


SERVER_STATE = text(
    """
    SELECT to_regclass('alembic_version') IS NOT NULL AS has_history,
           current_setting('transaction_read_only') = 'on' AS is_read_only
    """
)
CURRENT_REVISION = text("SELECT version_num FROM alembic_version")


async def current_state(connection: AsyncConnection) -> SchemaState:
    """Return the state of the database. A standby is read-only."""
    server = (await connection.execute(SERVER_STATE)).one()
    revision = None
    if server.has_history:
        revision = (await connection.execute(CURRENT_REVISION)).scalar_one_or_none()
    return SchemaState(revision=revision, is_read_only=server.is_read_only)


async def revision_of(url: str, options: DatabaseOptions = ADMIN_TIMEOUTS) -> str | None:
    """Return the revision of the database at ``url``. Raises `DatabaseUnavailable`."""
    async with connection_to(url, options) as connection:
        return (await current_state(connection)).revision


async def migrate(
    url: str,
    revision: str = "head",
    options: DatabaseOptions = ADMIN_TIMEOUTS,
    patience: LockPatience | None = None,
) -> Migration:
    """Migrate the database to ``revision``: ``head``, ``base`` or the id of a revision.

    Each migration has a transaction of its own, under an advisory lock: machines that start
    together migrate one after the other. The indexes that it names are built before, outside of the
    transaction. Raises `DatabaseUnavailable` and `UnknownRevision`; the migrations before the one
    that failed remain.
    """
    target = _target(revision)
    first = step = await _step_patiently(url, target, options, patience or LockPatience())
    while step.after != target:
        step = await _step_patiently(url, target, options, patience or LockPatience())
    return Migration(before=first.before, after=step.after)


@asynccontextmanager
async def connection_to(
    url: str, options: DatabaseOptions = ADMIN_TIMEOUTS
) -> AsyncIterator[AsyncConnection]:
    """Connect to the database at ``url`` and begin a transaction.

    Raises `DatabaseUnavailable`.
    """
    async with _connected(url, options) as connection, connection.begin():
        yield connection


@asynccontextmanager
async def _connected(url: str, options: DatabaseOptions) -> AsyncIterator[AsyncConnection]:
    engine = create_engine(url, options, poolclass=NullPool)
    try:
        with translating_errors():
            async with engine.connect() as connection:
                yield connection
    finally:
        await engine.dispose()


def _target(revision: str) -> str | None:
    if revision == "head":
        return revisions()[-1]
    if revision == "base":
        return None
    if revision not in revisions():
        raise UnknownRevision(revision)
    return revision


async def _step_patiently(
    url: str, target: str | None, options: DatabaseOptions, patience: LockPatience
) -> Migration:
    for _ in range(patience.attempts):
        try:
            return await _step(url, target, options, patience)
        except DatabaseUnavailable as error:
            if error.sqlstate not in (LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED):
                raise
        await asyncio.sleep(patience.pause)
    raise DatabaseUnavailable(
        "a transaction holds a lock on a table that the migration changes; nothing of it was "
        "applied. Let the transaction end (see pg_stat_activity), and migrate again",
        sqlstate=LOCK_NOT_AVAILABLE,
    )


async def _step(
    url: str, target: str | None, options: DatabaseOptions, patience: LockPatience
) -> Migration:
    """Run the next migration on the way to ``target``, if there is one, once no other machine does.

    It is asked again and again, each time in a transaction of its own: the machine that builds an
    index waits for all transactions that had a snapshot meanwhile, and one that waited for the lock
    would wait for that machine. Raises `DatabaseUnavailable` when the time of a statement is over.
    """
    deadline = monotonic() + options.statement_timeout
    async with _connected(url, options) as connection:
        while monotonic() < deadline:
            async with connection.begin():
                if (await connection.execute(TRY_LOCK, {"lock": MIGRATION_LOCK})).scalar_one():
                    return await _step_alone(connection, target, url, options, patience)
            await asyncio.sleep(LOCK_PAUSE)
    raise DatabaseUnavailable("another machine migrates the database")


TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)")

# The server would end a transaction that does nothing while indexes are built. The statement also
# takes the place of the query before it, whose snapshot would be kept until the next statement.
STAY_IDLE = text("SET LOCAL idle_in_transaction_session_timeout = 0")


async def _step_alone(
    connection: AsyncConnection,
    target: str | None,
    url: str,
    options: DatabaseOptions,
    patience: LockPatience,
) -> Migration:
    """Run the next migration in a transaction that has the lock; build its indexes before."""
    step = await connection.run_sync(_next_step, target)
    if step.before == step.after:
        return step
    if indexes := await connection.run_sync(_indexes_of, step):
        await connection.execute(STAY_IDLE)
        await build_indexes(url, options, indexes, wait=patience.index_timeout)
    await connection.execute(text(f"SET LOCAL lock_timeout = {patience.timeout * 1000:.0f}"))
    await connection.run_sync(_run, step)
    return step


def _next_step(connection: Connection, target: str | None) -> Migration:
    """Return the next migration on the way to ``target``. Raises `UnknownRevision`.

    Alembic is imported here, and below, only: serving requests does not need it.
    """
    from alembic.runtime.migration import MigrationContext

    before = MigrationContext.configure(connection).get_current_revision()
    if before == target:
        return Migration(before=before, after=before)
    path = [None, *revisions()]
    if before not in path:
        raise UnknownRevision(f"{before}, at which the database is")
    position = path.index(before)
    forward = path.index(target) > position
    return Migration(before=before, after=path[position + 1 if forward else position - 1])


def _indexes_of(_: Connection, step: Migration) -> dict[str, str]:
    """Return the indexes that an upgrade needs, which are built concurrently."""
    from alembic.script import ScriptDirectory

    if step.after is None or (step.before is not None and step.after < step.before):
        return {}
    script = ScriptDirectory(str(MIGRATIONS)).get_revision(step.after)
    indexes: dict[str, str] = getattr(script.module, "CONCURRENT_INDEXES", {})
    return indexes


def _run(connection: Connection, step: Migration) -> None:
    """Run a migration."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    if step.before is None or (step.after is not None and step.after > step.before):
        command.upgrade(config, str(step.after))
    else:
        command.downgrade(config, step.after or "base")
