"""Pages of users: by the time of their creation, and by prefixes of user names and addresses.

Each is a range of an index, however many users there are.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    bindparam,
    collate,
    func,
    literal_column,
    select,
    true,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.user_records import UserRecord
from service.model.users import Provider
from service.storage.admin.users import RECORD_COLUMNS, record_of_row
from service.storage.keys import ADDRESS
from service.storage.tables import key, user

LAST_CHARACTER = "\U0010ffff"


class NamePrefix(Struct, frozen=True, kw_only=True):
    """The beginning of a prepared name or address."""

    provider: Provider
    prefix: str


class FoundByName(Struct, frozen=True, kw_only=True):
    """A user, and the name by which they were found: pages are in the order of names.

    A user with several names that begin alike, who moved in from elsewhere, is found by each;
    ``is_first`` marks the first.
    """

    record: UserRecord
    name: str
    is_first: bool


LIST_NEWEST = (
    select(*RECORD_COLUMNS)
    .select_from(user.outerjoin(ADDRESS, true()))
    .order_by(user.c.created_at.desc(), user.c.id.desc())
    .limit(bindparam("max_rows"))
)
LIST_OLDER = LIST_NEWEST.where(
    tuple_(user.c.created_at, user.c.id)
    < tuple_(
        bindparam("last_created_at", type_=user.c.created_at.type),
        bindparam("last_id", type_=user.c.id.type),
    )
)


async def list_newest(
    connection: AsyncConnection, max_rows: int, older_than: tuple[datetime, UUID] | None
) -> list[UserRecord]:
    """Return a page of users, newest first: those older than the last user of the page before."""
    parameters: dict[str, Any] = {"max_rows": max_rows}
    statement = LIST_NEWEST
    if older_than is not None:
        statement = LIST_OLDER
        parameters["last_created_at"], parameters["last_id"] = older_than
    return [record_of_row(row) for row in await connection.execute(statement, parameters)]


async def list_by_name(
    connection: AsyncConnection, sought: NamePrefix, max_rows: int, after: str | None
) -> list[FoundByName]:
    """Return a page of users whose names begin like this, in the order of code points.

    As many names are read as there may be rows, whoever has them.
    """
    statement = by_name(sought, is_continued=after is not None)
    parameters: dict[str, Any] = {"max_rows": max_rows, "prefix": sought.prefix}
    if after is not None:
        parameters["after"] = after
    if end := end_of(sought.prefix):
        parameters["prefix_end"] = end
    found = await connection.execute(statement, parameters)
    return [
        FoundByName(record=record_of_row(row), name=row.found_name, is_first=row.is_first)
        for row in found
    ]


def by_name(sought: NamePrefix, *, is_continued: bool) -> Select[*tuple[Any, ...]]:
    """Return the statement of `list_by_name`.

    The names are read first, and no more of them than are shown: a condition on their users would
    make PostgreSQL expect that most names do not count, and read and sort all of them.
    """
    other = key.alias("other")
    has_end = end_of(sought.prefix) is not None
    name = collate(key.c.name, "C")
    names = (
        select(key.c.user_id, key.c.name)
        .where(*_begins(key, sought.provider, has_end=has_end))
        .order_by(name)
        .limit(bindparam("max_rows"))
    )
    if is_continued:
        names = names.where(name > bindparam("after", type_=Text))
    found = names.subquery("found")
    first_name = (
        select(func.min(collate(other.c.name, "C")))
        .where(
            other.c.user_id == found.c.user_id, *_begins(other, sought.provider, has_end=has_end)
        )
        .scalar_subquery()
    )
    return (
        select(
            *RECORD_COLUMNS,
            found.c.name.label("found_name"),
            (found.c.name == first_name).label("is_first"),
        )
        .select_from(found.join(user, user.c.id == found.c.user_id).outerjoin(ADDRESS, true()))
        .order_by(collate(found.c.name, "C"))
    )


def _begins(table: Any, provider: Provider, *, has_end: bool) -> list[ColumnElement[bool]]:
    """Return the conditions on which the name of a key begins like the prefix."""
    name = collate(table.c.name, "C")
    conditions = [
        table.c.provider == literal_column(f"'{provider}'"),
        name >= bindparam("prefix", type_=Text),
    ]
    if has_end:
        conditions.append(name < bindparam("prefix_end", type_=Text))
    return conditions


def end_of(prefix: str) -> str | None:
    """Return the first text, in the order of code points, after all that begin like this.

    ``None`` if there is none.
    """
    begin = prefix.rstrip(LAST_CHARACTER)
    if not begin:
        return None
    following = ord(begin[-1]) + 1
    # The halves of surrogate pairs are no characters.
    return begin[:-1] + ("\ue000" if following == 0xD800 else chr(following))  # noqa: PLR2004
