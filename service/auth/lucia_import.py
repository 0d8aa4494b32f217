"""Moving in from a Lucia v2 site: users, keys and, if wanted, live sessions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Protocol

from msgspec import Struct

from service.auth.lucia import NotTaken, key_of, session_of, user_id_of
from service.storage.bulk_load import BulkLoad, Loaded
from service.storage.lucia_source import KEYS, SESSIONS, USERS, LuciaSource, LuciaTable

Row = tuple[Any, ...]


class Tally(Struct, kw_only=True):
    """What became of the rows of a table. The others were here already, or are dead."""

    table: str
    read: int = 0
    new: int = 0
    not_taken: int = 0


class Witness(Protocol):
    """Who is told how the import goes on."""

    def begins(self, table: str, rows: int) -> None: ...

    def moved(self, rows: int) -> None: ...

    def refused(self, table: str, row: str, reason: str) -> None:
        """A row that could not be taken. Sessions are told by their user: their id is a token."""


class LuciaImport:
    """From a source to a database. What is here already stays, so that it can be run again."""

    def __init__(self, source: LuciaSource, target: BulkLoad, witness: Witness) -> None:
        self._source = source
        self._target = target
        self._witness = witness

    async def users(self) -> Tally:
        return await self._move(USERS, _user_row, self._target.users, _first_column)

    async def keys(self) -> Tally:
        return await self._move(KEYS, _key_row, self._target.keys, _first_column)

    async def sessions(self, lifetime: timedelta) -> Tally:
        """Live sessions alone; none outlives ``lifetime`` from now."""

        async def load(rows: list[Row]) -> Loaded:
            return await self._target.sessions(rows, lifetime)

        return await self._move(SESSIONS, _session_row, load, _owner)

    async def _move(
        self,
        table: LuciaTable,
        translate: Callable[[int, Row], Row],
        load: Callable[[list[Row]], Awaitable[Loaded]],
        name_of: Callable[[Row], str],
    ) -> Tally:
        tally = Tally(table=table.what)
        self._witness.begins(table.what, await self._source.count(table))
        async for batch in self._source.batches(table):
            rows, refused = _translated(batch, translate)
            loaded = await load(rows)
            for number, reason in sorted(refused + loaded.refused):
                self._witness.refused(table.what, name_of(batch[number]), reason)
            tally.read += len(batch)
            tally.new += loaded.new
            tally.not_taken += len(refused) + len(loaded.refused)
            self._witness.moved(len(batch))
        return tally


def _translated(
    batch: list[Row], translate: Callable[[int, Row], Row]
) -> tuple[list[Row], list[tuple[int, str]]]:
    rows: list[Row] = []
    refused: list[tuple[int, str]] = []
    for number, row in enumerate(batch):
        try:
            rows.append(translate(number, row))
        except NotTaken as error:
            refused.append((number, str(error)))
    return rows, refused


def _user_row(_: int, row: Row) -> Row:
    (lucia_id,) = row
    return (user_id_of(str(lucia_id)),)


def _key_row(number: int, row: Row) -> Row:
    key_id, hashed_password, lucia_user_id = row
    key = key_of(str(key_id), hashed_password, str(lucia_user_id))
    return (number, key.provider, key.name, key.user_id, key.display_name, key.password_hash)


def _session_row(number: int, row: Row) -> Row:
    session_id, lucia_user_id, active_expires, idle_expires = row
    session = session_of(
        str(session_id), str(lucia_user_id), int(active_expires), int(idle_expires)
    )
    return (
        *(number, session.id, session.secret_hash, session.user_id),
        *(session.active_expires, session.idle_expires),
    )


def _first_column(row: Row) -> str:
    return str(row[0])


def _owner(row: Row) -> str:
    return f"of user {row[1]}"
