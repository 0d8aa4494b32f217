"""The schema's history: bring a database to a revision, or tell where it stands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from msgspec import Struct
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from service.storage.database import PATIENT, connect_once, faults_named

MIGRATIONS = Path(__file__).parent / "migrations"

# Any number will do, as long as it stays the same: "ostiary" in hexadecimal.
MIGRATION_LOCK = 0x6F737469617279

HAS_HISTORY = text("SELECT to_regclass('alembic_version')")
CURRENT_REVISION = text("SELECT version_num FROM alembic_version")


class UnknownRevision(Exception):
    """The database stands at a revision, or is asked to go to one, that this version lacks."""


class Move(Struct, frozen=True, kw_only=True):
    """Where a migration began and where it ended; ``None`` is the empty database."""

    before: str | None
    after: str | None


def revisions() -> list[str]:
    """All revisions, oldest first, as the names of their files begin."""
    return sorted(path.name.partition("_")[0] for path in MIGRATIONS.glob("versions/*_*.py"))


def newest_revision() -> str:
    """The revision that this version of the service is written for."""
    return revisions()[-1]


def is_behind(revision: str | None) -> bool:
    """Tell whether migrations are missing. A revision that is unknown is a later version's."""
    return revision is None or revision in revisions()[:-1]


async def current_revision(connection: AsyncConnection) -> str | None:
    """The revision at which the database stands; ``None`` before the first migration."""
    if (await connection.execute(HAS_HISTORY)).scalar_one() is None:
        return None
    return (await connection.execute(CURRENT_REVISION)).scalar_one_or_none()


async def revision_of(url: str) -> str | None:
    """The revision of the database at ``url``. Raises `DatabaseUnavailable`."""
    async with connection_to(url) as connection:
        return await current_revision(connection)


async def migrate(url: str, revision: str = "head") -> Move:
    """Bring the database to ``revision``: ``head``, ``base`` or the id of one between.

    All steps are one transaction, under an advisory lock, so that machines which start together
    take turns. Raises `DatabaseUnavailable` and `UnknownRevision`.
    """
    async with connection_to(url) as connection:
        return await connection.run_sync(_move, revision)


@asynccontextmanager
async def connection_to(url: str) -> AsyncIterator[AsyncConnection]:
    """Connect for a piece of work on the schema, all of it in one transaction.

    Raises `DatabaseUnavailable`.
    """

    async def open_connection() -> asyncpg.Connection[asyncpg.Record]:
        return await connect_once(url, PATIENT)

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=open_connection,
        poolclass=NullPool,
        hide_parameters=True,
    )
    try:
        with faults_named():
            async with engine.begin() as connection:
                yield connection
    finally:
        await engine.dispose()


def _move(connection: Connection, revision: str) -> Move:
    """Alembic is loaded here alone: answering requests needs none of it."""
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.util import CommandError

    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
    before = MigrationContext.configure(connection).get_current_revision()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    step = command.downgrade if _lies_before(revision, before) else command.upgrade
    try:
        step(config, revision)
    except CommandError as error:
        raise UnknownRevision(str(error)) from error
    return Move(before=before, after=MigrationContext.configure(connection).get_current_revision())


def _lies_before(revision: str, current: str | None) -> bool:
    return revision == "base" or (current is not None and revision != "head" and revision < current)
