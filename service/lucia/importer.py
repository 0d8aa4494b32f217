"""The import of a Lucia v2 site: users, keys and, optionally, live sessions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TypeVar

from service.lucia.keys import KeyImport, Row
from service.lucia.rows import session_of, text_of, time_of
from service.lucia.source import KEYS, SESSIONS, USERS, LuciaSource, LuciaTable
from service.storage.bulk_load import BulkLoad, Loaded
from service.transfer.issuers import ISSUERS
from service.transfer.loading import ImportCounts, ProgressReporter, Stage, import_all
from service.transfer.user_ids import user_id_of

RowT = TypeVar("RowT")


class LuciaImport:
    """Imports a source into a database. Existing rows stay unchanged, so it can be run again.

    With ``emails_verified`` the source has addresses that its users proved to have. ``issuers`` are
    those of the providers whose keys become identities.
    """

    def __init__(
        self,
        source: LuciaSource,
        target: BulkLoad,
        progress: ProgressReporter,
        *,
        emails_verified: bool = False,
        issuers: Mapping[str, str] = ISSUERS,
    ) -> None:
        self._source = source
        self._target = target
        self._progress = progress
        self._keys = KeyImport(target, issuers, emails_verified=emails_verified)

    @property
    def kept(self) -> Mapping[str, int]:
        """How many keys were read, by provider, with which nobody logs in."""
        return self._keys.kept

    async def users(self) -> ImportCounts:
        """Import users."""
        return await self._import(USERS, _user_row, self._target.users, _first_column)

    async def keys(self) -> ImportCounts:
        """Import keys. Their users have to be imported before."""
        return await self._import(KEYS, self._keys.convert, self._keys.load, _first_column)

    async def sessions(self, lifetime: timedelta) -> ImportCounts:
        """Import live sessions; each ends ``lifetime`` from now at the latest."""

        async def load(rows: list[Row]) -> Loaded:
            return await self._target.sessions(rows, lifetime)

        return await self._import(SESSIONS, _session_row, load, _user_of)

    async def _import(
        self,
        table: LuciaTable,
        convert: Callable[[int, Row], tuple[RowT, list[str]]],
        load: Callable[[list[RowT]], Awaitable[Loaded]],
        describe: Callable[[Row], str],
    ) -> ImportCounts:
        self._progress.start(table.entity, await self._source.count(table))
        stage = Stage(table=table.entity, convert=convert, load=load, describe=describe)
        return await import_all(stage, self._source.batches(table), self._progress)


def _user_row(number: int, row: Row) -> tuple[Row, list[str]]:
    (lucia_id,) = row
    return (number, user_id_of(text_of(lucia_id, "id"))), []


def _session_row(number: int, row: Row) -> tuple[Row, list[str]]:
    session_id, lucia_user_id, active_expires, idle_expires = row
    session = session_of(
        text_of(session_id, "id"),
        text_of(lucia_user_id, "user"),
        time_of(active_expires, "active expiry"),
        time_of(idle_expires, "idle expiry"),
    )
    converted = (
        number,
        session.id,
        session.secret_hash,
        session.user_id,
        session.active_expires,
        session.idle_expires,
    )
    return converted, []


def _first_column(row: Row) -> str:
    return str(row[0])


def _user_of(row: Row) -> str:
    return f"of user {row[1]}"
