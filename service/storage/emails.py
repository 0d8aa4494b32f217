"""E-mail addresses of users: the statements on the keys that they are."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct
from sqlalchemy import bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.users import Provider
from service.storage.keys import add_key, find_password_key
from service.storage.tables import key


class Address(Struct, frozen=True):
    """An address: ``name`` is compared, ``display_name`` is shown and mailed to."""

    name: str
    display_name: str


# A user has one, but several may have moved in from elsewhere: the oldest one is shown.
FIND_VERIFIED_ADDRESS = (
    select(key.c.name, key.c.display_name)
    .where(
        key.c.user_id == bindparam("owner_id"),
        key.c.provider == Provider.EMAIL,
        key.c.verified_at.is_not(None),
    )
    .order_by(key.c.created_at, key.c.name)
    .limit(1)
)


async def find_verified_address(connection: AsyncConnection, user_id: UUID) -> Address | None:
    """Find the address that a user has verified."""
    row = (await connection.execute(FIND_VERIFIED_ADDRESS, {"owner_id": user_id})).one_or_none()
    return None if row is None else Address(row.name, row.display_name)


FIND_OWNED_ADDRESS = select(key.c.name, key.c.display_name).where(
    key.c.provider == Provider.EMAIL,
    key.c.name == bindparam("address"),
    key.c.verified_at.is_not(None),
)


async def find_owned_address(connection: AsyncConnection, name: str) -> Address | None:
    """Find an address that a user has verified, by its prepared form."""
    row = (await connection.execute(FIND_OWNED_ADDRESS, {"address": name})).one_or_none()
    return None if row is None else Address(row.name, row.display_name)


TAKE_UNVERIFIED_ADDRESS = delete(key).where(
    key.c.provider == Provider.EMAIL,
    key.c.name == bindparam("address"),
    key.c.verified_at.is_(None),
)


async def take_unverified_address(connection: AsyncConnection, name: str) -> None:
    """Take an address, which its owner has just proven, away from whoever has not verified it."""
    await connection.execute(TAKE_UNVERIFIED_ADDRESS, {"address": name})


REMOVE_ADDRESSES = delete(key).where(
    key.c.user_id == bindparam("owner_id"), key.c.provider == Provider.EMAIL
)


async def remove_addresses(connection: AsyncConnection, user_id: UUID) -> bool:
    """Delete the address of a user. Returns whether there was one."""
    return (await connection.execute(REMOVE_ADDRESSES, {"owner_id": user_id})).rowcount > 0


async def replace_address(connection: AsyncConnection, user_id: UUID, address: Address) -> None:
    """Give a user an address that they have just proven, in place of any other.

    It logs in with the user's password. Raises `KeyExists` if another user has verified it.
    """
    password_key = await find_password_key(connection, user_id)
    await remove_addresses(connection, user_id)
    await take_unverified_address(connection, address.name)
    await add_key(
        connection,
        user_id=user_id,
        provider=Provider.EMAIL,
        name=address.name,
        display_name=address.display_name,
        password_hash=None if password_key is None else password_key.password_hash,
        is_verified=True,
    )
