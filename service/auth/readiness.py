"""Readiness: whether the service can serve requests."""

from __future__ import annotations

from service.auth.errors import SchemaBehind
from service.storage.database import Database
from service.storage.schema import current_revision, is_behind


async def check_readiness(database: Database) -> None:
    """Check that the database answers and has all migrations of this version.

    A schema that is ahead is accepted: another machine may run a newer version already. Raises
    `DatabaseUnavailable` and `SchemaBehind`.
    """
    async with database.connect() as connection:
        revision = await current_revision(connection)
    if is_behind(revision):
        raise SchemaBehind
