"""Users and their keys: every statement on the two tables."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model import Key, PasswordHash, Provider, User
from service.storage.tables import key, user

UNIQUE_VIOLATION = "23505"

_username_key = key.alias("username_key")

# The name a user is shown by, looked up beside whatever else is selected from "user".
DISPLAY_NAME = (
    select(_username_key.c.display_name)
    .where(_username_key.c.user_id == user.c.id, _username_key.c.provider == Provider.USERNAME)
    .order_by(_username_key.c.created_at, _username_key.c.name)
    .limit(1)
    .correlate(user)
    .scalar_subquery()
)

FIND_KEY = (
    select(
        key.c.user_id,
        key.c.password_hash,
        DISPLAY_NAME.label("username"),
        user.c.created_at.label("joined_at"),
    )
    .join_from(key, user)
    .where(key.c.provider == bindparam("provider"), key.c.name == bindparam("name"))
)

ADD_USER = insert(user).values(id=bindparam("id")).returning(user.c.created_at)

ADD_KEY = insert(key).values(
    provider=bindparam("provider"),
    name=bindparam("name"),
    user_id=bindparam("user_id"),
    display_name=bindparam("display_name"),
    password_hash=bindparam("password_hash"),
)

# Guarded by the hash that was verified: whoever changed the password meanwhile wins.
REPLACE_PASSWORD_HASH = (
    update(key)
    .where(
        key.c.provider == bindparam("key_provider"),
        key.c.name == bindparam("key_name"),
        key.c.password_hash == bindparam("verified_hash"),
    )
    .values(password_hash=bindparam("new_hash"))
)


class KeyTaken(Exception):
    """Somebody has a key of that provider and name already."""


async def find_key(connection: AsyncConnection, provider: str, name: str) -> Key | None:
    """Look a key up by its prepared name, with its user."""
    result = await connection.execute(FIND_KEY, {"provider": provider, "name": name})
    row = result.one_or_none()
    if row is None:
        return None
    return Key(
        provider=provider,
        name=name,
        user=User(id=row.user_id, username=row.username, created_at=row.joined_at),
        password_hash=None if row.password_hash is None else PasswordHash(row.password_hash),
    )


async def add_user(
    connection: AsyncConnection,
    *,
    provider: str,
    name: str,
    display_name: str,
    password_hash: PasswordHash | None,
) -> Key:
    """Make a user and their first key; to be called in a transaction. Raises `KeyTaken`."""
    user_id = uuid4()
    joined_at = (await connection.execute(ADD_USER, {"id": user_id})).scalar_one()
    await add_key(
        connection,
        user_id=user_id,
        provider=provider,
        name=name,
        display_name=display_name,
        password_hash=password_hash,
    )
    username = display_name if provider == Provider.USERNAME else None
    return Key(
        provider=provider,
        name=name,
        user=User(id=user_id, username=username, created_at=joined_at),
        password_hash=password_hash,
    )


async def add_key(  # noqa: PLR0913
    connection: AsyncConnection,
    *,
    user_id: UUID,
    provider: str,
    name: str,
    display_name: str,
    password_hash: PasswordHash | None,
) -> None:
    """Give a user one more key. Raises `KeyTaken`."""
    try:
        await connection.execute(
            ADD_KEY,
            {
                "user_id": user_id,
                "provider": provider,
                "name": name,
                "display_name": display_name,
                "password_hash": password_hash,
            },
        )
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) == UNIQUE_VIOLATION:
            raise KeyTaken from error
        raise


async def replace_password_hash(
    connection: AsyncConnection, key: Key, new_hash: PasswordHash
) -> bool:
    """Store ``new_hash`` if the key still has the hash that it was read with; tell whether."""
    result = await connection.execute(
        REPLACE_PASSWORD_HASH,
        {
            "key_provider": key.provider,
            "key_name": key.name,
            "verified_hash": key.password_hash,
            "new_hash": new_hash,
        },
    )
    return result.rowcount == 1
