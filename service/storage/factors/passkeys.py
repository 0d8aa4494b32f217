"""Passkeys: the statements on them, and on the user handles."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.passkeys import NewPasskey, Passkey
from service.storage.tables import passkey, user

ADD = (
    insert(passkey)
    .on_conflict_do_nothing(index_elements=[passkey.c.credential_id])
    .returning(*passkey.c)
)


async def add_passkey(
    connection: AsyncConnection, user_id: UUID, rp_id: str, name: str, new: NewPasskey
) -> Passkey | None:
    """Insert a passkey. Returns ``None`` if there is one with that credential id already."""
    values = {
        "id": uuid4(),
        "user_id": user_id,
        "credential_id": new.credential_id,
        "public_key": new.public_key,
        "sign_count": new.sign_count,
        "rp_id": rp_id,
        "transports": list(new.transports),
        "name": name,
        "aaguid": new.aaguid,
        "is_backup_eligible": new.is_backup_eligible,
        "is_backed_up": new.is_backed_up,
    }
    row = (await connection.execute(ADD, values)).one_or_none()
    return None if row is None else _passkey(row)


_OF_USER = passkey.c.user_id == bindparam("owner_id")

LIST = select(passkey).where(_OF_USER).order_by(passkey.c.created_at, passkey.c.id)


async def list_passkeys(connection: AsyncConnection, user_id: UUID) -> list[Passkey]:
    """Return the passkeys of a user, of whichever site, oldest first."""
    return [_passkey(row) for row in await connection.execute(LIST, {"owner_id": user_id})]


COUNT = select(func.count()).select_from(passkey).where(_OF_USER)


async def count_passkeys(connection: AsyncConnection, user_id: UUID) -> int:
    """Return how many passkeys a user has, of whichever site."""
    count: int = (await connection.execute(COUNT, {"owner_id": user_id})).scalar_one()
    return count


FIND = select(passkey).where(
    passkey.c.credential_id == bindparam("credential"), passkey.c.rp_id == bindparam("rp")
)


async def find_passkey(
    connection: AsyncConnection, credential_id: bytes, rp_id: str
) -> Passkey | None:
    """Find the passkey of a site with a credential id."""
    parameters = {"credential": credential_id, "rp": rp_id}
    row = (await connection.execute(FIND, parameters)).one_or_none()
    return None if row is None else _passkey(row)


RENAME = (
    update(passkey)
    .where(_OF_USER, passkey.c.id == bindparam("passkey_id"))
    .values(name=bindparam("new_name"))
    .returning(*passkey.c)
)


async def rename_passkey(
    connection: AsyncConnection, user_id: UUID, passkey_id: UUID, name: str
) -> Passkey | None:
    """Change the name of a passkey of a user. Returns it, or ``None`` if there is none."""
    parameters = {"owner_id": user_id, "passkey_id": passkey_id, "new_name": name}
    row = (await connection.execute(RENAME, parameters)).one_or_none()
    return None if row is None else _passkey(row)


REMOVE = delete(passkey).where(_OF_USER, passkey.c.id == bindparam("passkey_id"))


async def remove_passkey(connection: AsyncConnection, user_id: UUID, passkey_id: UUID) -> bool:
    """Delete a passkey of a user. Returns whether there was one with that id."""
    parameters = {"owner_id": user_id, "passkey_id": passkey_id}
    return (await connection.execute(REMOVE, parameters)).rowcount == 1


REMOVE_SINCE = delete(passkey).where(_OF_USER, passkey.c.created_at >= bindparam("since"))


async def remove_passkeys_since(
    connection: AsyncConnection, user_id: UUID, since: datetime
) -> None:
    """Delete the passkeys of a user that are not older than ``since``."""
    await connection.execute(REMOVE_SINCE, {"owner_id": user_id, "since": since})


# A count that goes back is reported, and the higher one kept: the other authenticator may be one
# that was cloned (WebAuthn Level 3, section 6.1.1).
USE = (
    update(passkey)
    .where(passkey.c.id == bindparam("passkey_id"))
    .values(
        sign_count=func.greatest(passkey.c.sign_count, bindparam("new_count")),
        is_backed_up=bindparam("backed_up"),
        last_used_at=func.clock_timestamp(),
    )
)


async def use_passkey(
    connection: AsyncConnection, passkey_id: UUID, *, sign_count: int, is_backed_up: bool
) -> None:
    """Remember that a passkey of a user, who is locked, was used."""
    parameters = {"passkey_id": passkey_id, "new_count": sign_count, "backed_up": is_backed_up}
    await connection.execute(USE, parameters)


# The handle stays as it is from the first passkey on: authenticators overwrite the passkey of a
# site and handle, and a new handle would be a second account to them.
GIVE_HANDLE = (
    update(user)
    .where(user.c.id == bindparam("owner_id"))
    .values(passkey_handle=func.coalesce(user.c.passkey_handle, bindparam("new_handle")))
    .returning(user.c.passkey_handle)
)


async def give_handle(connection: AsyncConnection, user_id: UUID, new_handle: bytes) -> bytes:
    """Return the handle by which authenticators know a user; a first one is ``new_handle``."""
    parameters = {"owner_id": user_id, "new_handle": new_handle}
    handle: bytes = (await connection.execute(GIVE_HANDLE, parameters)).scalar_one()
    return handle


FIND_HANDLE = select(user.c.passkey_handle).where(user.c.id == bindparam("owner_id"))


async def find_handle(connection: AsyncConnection, user_id: UUID) -> bytes | None:
    """Return the handle by which authenticators know a user, if they do."""
    result = await connection.execute(FIND_HANDLE, {"owner_id": user_id})
    handle: bytes | None = result.scalar_one_or_none()
    return handle


def _passkey(row: Any) -> Passkey:
    return Passkey(
        id=row.id,
        user_id=row.user_id,
        credential_id=row.credential_id,
        public_key=row.public_key,
        sign_count=row.sign_count,
        rp_id=row.rp_id,
        transports=row.transports,
        name=row.name,
        is_backup_eligible=row.is_backup_eligible,
        is_backed_up=row.is_backed_up,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
    )
