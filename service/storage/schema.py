"""The schema's history: bring a database to a revision, or tell where it stands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from msgspec import Struct
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from service.storage.database import Limits, connect_once, faults_named

MIGRATIONS = Path(__file__).parent / "migrations"

# Any number will do, as long as it stays the same: "ostiary" in hexadecimal.
MIGRATION_LOCK = 0x6F737469617279

PATIENT = Limits(pool_size=1, connect=10.0, statement=600.0, pool_wait=10.0)


class UnknownRevision(Exception):
    """The database stands at a revision, or is asked to go to one, that this version lacks."""


class Move(Struct, frozen=True, kw_only=True):
    """Where a migration began and where it ended; ``None`` is the empty database."""

    before: str | None
    after: str | None


@cache
def newest_revision() -> str:
    """The revision that this version of the service is written for."""
    head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    if head is None:
        raise AssertionError("a service without migrations")
    return head


def is_behind(revision: str | None) -> bool:
    """Tell whether migrations are missing. A revision that is unknown is a later version's."""
    history = ScriptDirectory(str(MIGRATIONS)).walk_revisions()
    return revision is None or revision in {step.revision for step in history} - {newest_revision()}


async def current_revision(connection: AsyncConnection) -> str | None:
    """The revision at which the database stands; ``None`` before the first migration."""
    return await connection.run_sync(_revision_of)


async def revision_of(url: str) -> str | None:
    """The revision of the database at ``url``. Raises `DatabaseUnavailable`."""
    async with _connection_to(url) as connection:
        return await current_revision(connection)


async def migrate(url: str, revision: str = "head") -> Move:
    """Bring the database to ``revision``: ``head``, ``base`` or the id of one between.

    All steps are one transaction, under an advisory lock, so that machines which start together
    take turns. Raises `DatabaseUnavailable` and `UnknownRevision`.
    """
    try:
        async with _connection_to(url) as connection:
            return await connection.run_sync(_move, revision)
    except CommandError as error:
        raise UnknownRevision(str(error)) from error


@asynccontextmanager
async def _connection_to(url: str) -> AsyncIterator[AsyncConnection]:
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


def _revision_of(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _move(connection: Connection, revision: str) -> Move:
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
    before = _revision_of(connection)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    step = command.downgrade if _lies_before(revision, before) else command.upgrade
    step(config, revision)
    return Move(before=before, after=_revision_of(connection))


def _lies_before(revision: str, current: str | None) -> bool:
    if revision == "base":
        return True
    if revision == "head" or current is None:
        return False
    history = ScriptDirectory(str(MIGRATIONS)).iterate_revisions(current, "base")
    return revision != current and any(step.revision == revision for step in history)
