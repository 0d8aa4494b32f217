"""User names that were given up: the statements that hold them, and tell which are held."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Interval,
    Select,
    bindparam,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.users import Provider
from service.storage.tables import key, username_hold


def holding(names: Select[*tuple[Any, ...]]) -> Insert:
    """Return a statement that holds the user names of ``names``, keys with who may take them back.

    Of a name that was given up before, the last time counts.
    """
    held = insert(username_hold).from_select(
        [username_hold.c.name_hash, username_hold.c.user_id],
        names.where(key.c.provider == literal_column(f"'{Provider.USERNAME}'")),
    )
    return held.on_conflict_do_update(
        index_elements=[username_hold.c.name_hash],
        set_={"user_id": held.excluded.user_id, "freed_at": held.excluded.freed_at},
    )


# Only the hash of a name is kept, since its user may be deleted.
NAME_HASH: ColumnElement[bytes] = func.sha256(func.convert_to(key.c.name, literal_column("'UTF8'")))

HOLD_USERNAMES = holding(
    select(NAME_HASH, key.c.user_id).where(key.c.user_id == bindparam("owner_id"))
)


async def hold_usernames(connection: AsyncConnection, user_id: UUID) -> None:
    """Hold the user names of a user, who gives them up in this transaction, for that user alone."""
    await connection.execute(HOLD_USERNAMES, {"owner_id": user_id})


IS_HELD = select(
    select(username_hold.c.name_hash)
    .where(
        username_hold.c.name_hash == bindparam("name_hash"),
        username_hold.c.freed_at > func.now() - bindparam("hold", type_=Interval),
        # A name of a deleted user belongs to nobody, not to who has no id yet.
        func.coalesce(
            username_hold.c.user_id != bindparam("taker_id", type_=username_hold.c.user_id.type),
            true(),
        ),
    )
    .exists()
)


async def is_held(
    connection: AsyncConnection, name: str, hold: float, *, taker_id: UUID | None
) -> bool:
    """Return whether a prepared user name was given up less than ``hold`` seconds ago.

    Not by the user ``taker_id``: a former owner takes a name back.
    """
    parameters = {
        "name_hash": sha256(name.encode()).digest(),
        "hold": timedelta(seconds=hold),
        "taker_id": taker_id,
    }
    held: bool = (await connection.execute(IS_HELD, parameters)).scalar_one()
    return held
