"""The schema: migrate a database to a revision, and read the revision it is at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from msgspec import Struct
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from service.storage.database import ADMIN_TIMEOUTS, connect, translating_errors

MIGRATIONS = Path(__file__).parent / "migrations"

# The key of an advisory lock. Any constant would do; this one is "ostiary" in hexadecimal.
MIGRATION_LOCK = 0x6F737469617279


class UnknownRevision(Exception):
    """The database is at, or is to be migrated to, a revision that this version does not have."""


class Migration(Struct, frozen=True, kw_only=True):
    """The revisions before and after a migration; ``None`` is an empty database."""

    before: str | None
    after: str | None


def revisions() -> list[str]:
    """Return all revisions, oldest first, from the names of their files."""
    return sorted(path.name.partition("_")[0] for path in MIGRATIONS.glob("versions/*_*.py"))


def is_behind(revision: str | None) -> bool:
    """Return whether migrations are missing. An unknown revision belongs to a later version."""
    return revision is None or revision in revisions()[:-1]


HAS_HISTORY = text("SELECT to_regclass('alembic_version')")
CURRENT_REVISION = text("SELECT version_num FROM alembic_version")


async def current_revision(connection: AsyncConnection) -> str | None:
    """Return the revision of the database; ``None`` before the first migration."""
    if (await connection.execute(HAS_HISTORY)).scalar_one() is None:
        return None
    return (await connection.execute(CURRENT_REVISION)).scalar_one_or_none()


async def revision_of(url: str) -> str | None:
    """Return the revision of the database at ``url``. Raises `DatabaseUnavailable`."""
    async with connection_to(url) as connection:
        return await current_revision(connection)


async def migrate(url: str, revision: str = "head") -> Migration:
    """Migrate the database to ``revision``: ``head``, ``base`` or the id of a revision.

    All migrations run in one transaction, under an advisory lock: machines that start together
    migrate one after the other. Raises `DatabaseUnavailable` and `UnknownRevision`.
    """
    async with connection_to(url) as connection:
        return await connection.run_sync(_migrate, revision)


@asynccontextmanager
async def connection_to(url: str) -> AsyncIterator[AsyncConnection]:
    """Connect to the database at ``url`` and begin a transaction.

    Raises `DatabaseUnavailable`.
    """

    async def open_connection() -> asyncpg.Connection[asyncpg.Record]:
        return await connect(url, ADMIN_TIMEOUTS)

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=open_connection,
        poolclass=NullPool,
        hide_parameters=True,
    )
    try:
        with translating_errors():
            async with engine.begin() as connection:
                yield connection
    finally:
        await engine.dispose()


def _migrate(connection: Connection, revision: str) -> Migration:
    """Run Alembic, which is imported here only: serving requests does not need it."""
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.util import CommandError

    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
    before = MigrationContext.configure(connection).get_current_revision()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    step = command.downgrade if _is_before(revision, before) else command.upgrade
    try:
        step(config, revision)
    except CommandError as error:
        raise UnknownRevision(str(error)) from error
    return Migration(
        before=before, after=MigrationContext.configure(connection).get_current_revision()
    )


def _is_before(revision: str, current: str | None) -> bool:
    return revision == "base" or (current is not None and revision != "head" and revision < current)
