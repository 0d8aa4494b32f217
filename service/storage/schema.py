"""The schema: migrate a database to a revision, and read the revision it is at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.settings.database import DatabaseOptions
from service.storage.connection import ADMIN_TIMEOUTS
from service.storage.database import create_engine
from service.storage.errors import DatabaseUnavailable, translating_errors

MIGRATIONS = Path(__file__).parent / "migrations"

# The key of an advisory lock. Any constant would do; this one is "ostiary" in hexadecimal.
MIGRATION_LOCK = 0x6F737469617279

LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK_DETECTED = "40P01"


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
    together migrate one after the other. Raises `DatabaseUnavailable` and `UnknownRevision`; the
    migrations before the one that failed remain.
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
    engine = create_engine(url, options, poolclass=NullPool)
    try:
        with translating_errors():
            async with engine.begin() as connection:
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
            async with connection_to(url, options) as connection:
                return await connection.run_sync(_step, target, patience.timeout)
        except DatabaseUnavailable as error:
            if error.sqlstate not in (LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED):
                raise
        await asyncio.sleep(patience.pause)
    raise DatabaseUnavailable(
        "a transaction holds a lock on a table that the migration changes; nothing of it was "
        "applied. Let the transaction end (see pg_stat_activity), and migrate again",
        sqlstate=LOCK_NOT_AVAILABLE,
    )


def _step(connection: Connection, target: str | None, lock_timeout: float) -> Migration:
    """Run the next migration on the way to ``target``, if there is one.

    Alembic is imported here only: serving requests does not need it.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext

    # Waiting for another machine that migrates has no such short limit.
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
    connection.execute(text(f"SET LOCAL lock_timeout = {lock_timeout * 1000:.0f}"))
    before = MigrationContext.configure(connection).get_current_revision()
    if before == target:
        return Migration(before=before, after=before)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    path = [None, *revisions()]
    if before not in path:
        raise UnknownRevision(f"{before}, at which the database is")
    position = path.index(before)
    if path.index(target) > position:
        after = path[position + 1]
        command.upgrade(config, str(after))
    else:
        after = path[position - 1]
        command.downgrade(config, after or "base")
    return Migration(before=before, after=after)
