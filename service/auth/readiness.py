"""Can the service do its work?"""

from __future__ import annotations

from service.auth.errors import SchemaBehind
from service.storage.database import Database
from service.storage.schema import current_revision, is_behind


class Readiness:
    """Of the service on ``database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def check(self) -> None:
        """Raises `DatabaseUnavailable`, and `SchemaBehind` if migrations are missing.

        A schema that is ahead is fine: another machine runs a newer version already.
        """
        async with self._database.connect() as connection:
            revision = await current_revision(connection)
        if is_behind(revision):
            raise SchemaBehind
