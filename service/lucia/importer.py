"""The import of a Lucia v2 site: users, keys and, optionally, live sessions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Protocol, TypeAlias

from msgspec import Struct

from service.lucia.rows import RowRejected, key_of, session_of, text_of, time_of, user_id_of
from service.lucia.source import KEYS, SESSIONS, USERS, LuciaSource, LuciaTable
from service.storage.bulk_load import BulkLoad, Loaded

Row: TypeAlias = tuple[Any, ...]

# The number of a row in its batch, and what is told about it.
Remark: TypeAlias = tuple[int, str]


class ImportCounts(Struct, kw_only=True):
    """The rows of a table that were read, newly inserted and rejected.

    All other rows existed already, or are sessions that have ended.
    """

    table: str
    read: int = 0
    new: int = 0
    rejected: int = 0


class ProgressReporter(Protocol):
    """Receives the progress of an import."""

    def start(self, table: str, rows: int) -> None:
        """Start a table with this number of rows."""

    def advance(self, rows: int) -> None:
        """Count rows as processed."""

    def reject(self, table: str, row: str, reason: str) -> None:
        """Report a row that cannot be imported.

        A session is identified by its user, since its id is a token.
        """

    def note(self, table: str, row: str, remark: str) -> None:
        """Report a row that is imported, and that sign-up would have refused."""


class LuciaImport:
    """Imports a source into a database. Existing rows stay unchanged, so it can be run again.

    With ``emails_verified`` the source has addresses that its users proved to have.
    """

    def __init__(
        self,
        source: LuciaSource,
        target: BulkLoad,
        progress: ProgressReporter,
        *,
        emails_verified: bool = False,
    ) -> None:
        self._source = source
        self._target = target
        self._progress = progress
        self._emails_verified = emails_verified

    async def users(self) -> ImportCounts:
        """Import users."""
        return await self._import(USERS, _user_row, self._target.users, _first_column)

    async def keys(self) -> ImportCounts:
        """Import keys. Their users have to be imported before."""

        async def load(rows: list[Row]) -> Loaded:
            return await self._target.keys(rows, emails_verified=self._emails_verified)

        return await self._import(KEYS, _key_row, load, _first_column)

    async def sessions(self, lifetime: timedelta) -> ImportCounts:
        """Import live sessions; each ends ``lifetime`` from now at the latest."""

        async def load(rows: list[Row]) -> Loaded:
            return await self._target.sessions(rows, lifetime)

        return await self._import(SESSIONS, _session_row, load, _user_of)

    async def _import(
        self,
        table: LuciaTable,
        convert: Callable[[int, Row], tuple[Row, str | None]],
        load: Callable[[list[Row]], Awaitable[Loaded]],
        describe: Callable[[Row], str],
    ) -> ImportCounts:
        counts = ImportCounts(table=table.entity)
        self._progress.start(table.entity, await self._source.count(table))
        async for batch in self._source.batches(table):
            rows, noted, rejected = _convert(batch, convert)
            loaded = await load(rows)
            not_loaded = {number for number, _ in loaded.rejected}
            for number, remark in noted:
                if number not in not_loaded:
                    self._progress.note(table.entity, describe(batch[number]), remark)
            for number, reason in sorted(rejected + loaded.rejected):
                self._progress.reject(table.entity, describe(batch[number]), reason)
            counts.read += len(batch)
            counts.new += loaded.new
            counts.rejected += len(rejected) + len(loaded.rejected)
            self._progress.advance(len(batch))
        return counts


def _convert(
    batch: list[Row], convert: Callable[[int, Row], tuple[Row, str | None]]
) -> tuple[list[Row], list[Remark], list[Remark]]:
    """Return the converted rows, the remarks on some of them, and the rejections."""
    rows: list[Row] = []
    noted: list[Remark] = []
    rejected: list[Remark] = []
    for number, row in enumerate(batch):
        try:
            converted, remark = convert(number, row)
        except RowRejected as error:
            rejected.append((number, str(error)))
        else:
            rows.append(converted)
            if remark is not None:
                noted.append((number, remark))
    return rows, noted, rejected


def _user_row(number: int, row: Row) -> tuple[Row, None]:
    (lucia_id,) = row
    return (number, user_id_of(text_of(lucia_id, "id"))), None


def _key_row(number: int, row: Row) -> tuple[Row, str | None]:
    key_id, hashed_password, lucia_user_id = row
    key = key_of(
        text_of(key_id, "id"),
        None if hashed_password is None else text_of(hashed_password, "password hash"),
        text_of(lucia_user_id, "user"),
    )
    password_hash = key.password_hash
    converted = (
        number,
        key.id,
        key.provider,
        key.name,
        key.user_id,
        key.display_name,
        None if password_hash is None else password_hash.text,
        None if password_hash is None else password_hash.scheme,
    )
    return converted, key.refusal


def _session_row(number: int, row: Row) -> tuple[Row, None]:
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
    return converted, None


def _first_column(row: Row) -> str:
    return str(row[0])


def _user_of(row: Row) -> str:
    return f"of user {row[1]}"
