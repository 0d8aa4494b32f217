"""Users and their keys: every statement on the two tables."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, bindparam, delete, insert, literal_column, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model import Key, KeyInfo, PasswordHash, Provider, User
from service.storage.tables import HASH_KIND, key, user

UNIQUE_VIOLATION = "23505"

_username_key = key.alias("username_key")

# The name a user is shown by, looked up beside whatever else is selected from "user". Constants
# stand in the SQL, so that a statement has no parameters but its own.
DISPLAY_NAME = (
    select(_username_key.c.display_name)
    .where(
        _username_key.c.user_id == user.c.id,
        _username_key.c.provider == literal_column(f"'{Provider.USERNAME}'"),
    )
    .order_by(_username_key.c.created_at, _username_key.c.name)
    .limit(literal_column("1"))
    .correlate(user)
    .scalar_subquery()
)

_KEYS_WITH_OWNERS = select(
    key.c.provider,
    key.c.name,
    key.c.user_id,
    key.c.password_hash,
    DISPLAY_NAME.label("username"),
    user.c.created_at.label("joined_at"),
).join_from(key, user)

FIND_KEY = _KEYS_WITH_OWNERS.where(
    key.c.provider == bindparam("provider"), key.c.name == bindparam("name")
)

# The key whose password is the user's: that of the user name, if there is one.
FIND_PASSWORD_KEY = (
    _KEYS_WITH_OWNERS.where(
        key.c.user_id == bindparam("owner_id"), key.c.password_hash.is_not(None)
    )
    .order_by((key.c.provider == Provider.USERNAME).desc(), key.c.created_at, key.c.name)
    .limit(1)
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


LIST_KEYS = (
    select(key.c.provider, key.c.name, key.c.display_name, key.c.password_hash.is_not(None))
    .where(key.c.user_id == bindparam("owner_id"))
    .order_by(key.c.created_at, key.c.provider, key.c.name)
)

# A user has one password, however many keys it opens.
SET_PASSWORD_HASH = (
    update(key)
    .where(
        key.c.user_id == bindparam("owner_id"),
        key.c.password_hash.is_not(None) | (key.c.provider == Provider.USERNAME),
    )
    .values(password_hash=bindparam("new_hash"))
)

REMOVE_KEY = delete(key).where(
    key.c.user_id == bindparam("owner_id"),
    key.c.provider == bindparam("key_provider"),
    key.c.name == bindparam("key_name"),
)

FIND_USER = select(
    user.c.id, DISPLAY_NAME.label("username"), user.c.created_at.label("joined_at")
).where(user.c.id == bindparam("user_id"))

LIST_USERS = (
    select(user.c.id, DISPLAY_NAME.label("username"), user.c.created_at.label("joined_at"))
    .where(user.c.id > bindparam("after", type_=user.c.id.type))
    .order_by(user.c.id)
    .limit(bindparam("how_many"))
)

LOCK_USER = select(user.c.id).where(user.c.id == bindparam("user_id")).with_for_update()

DELETE_USER = delete(user).where(user.c.id == bindparam("user_id"))

# From one kind to the next in the index, for there are few kinds of many hashes.
FIND_HASHES_OF_EACH_KIND = text(
    f"""
    WITH RECURSIVE found (kind) AS (
        (SELECT {HASH_KIND} AS kind FROM key WHERE password_hash IS NOT NULL ORDER BY 1 LIMIT 1)
        UNION ALL
        SELECT (
            SELECT {HASH_KIND} FROM key
            WHERE password_hash IS NOT NULL AND {HASH_KIND} > found.kind ORDER BY 1 LIMIT 1
        )
        FROM found WHERE found.kind IS NOT NULL
    )
    SELECT (
        SELECT password_hash FROM key
        WHERE password_hash IS NOT NULL AND {HASH_KIND} = found.kind LIMIT 1
    )
    FROM found WHERE found.kind IS NOT NULL
    """  # noqa: S608
)


class KeyTaken(Exception):
    """Somebody has a key of that provider and name already."""


async def find_key(connection: AsyncConnection, provider: str, name: str) -> Key | None:
    """Look a key up by its prepared name, with its user."""
    result = await connection.execute(FIND_KEY, {"provider": provider, "name": name})
    return _key(result.one_or_none())


async def find_password_key(connection: AsyncConnection, user_id: UUID) -> Key | None:
    """The key whose password is the user's, if they have one."""
    result = await connection.execute(FIND_PASSWORD_KEY, {"owner_id": user_id})
    return _key(result.one_or_none())


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


async def find_hashes_of_each_kind(connection: AsyncConnection) -> list[PasswordHash]:
    """One hash of each kind that users have: of each maker and cost."""
    result = await connection.execute(FIND_HASHES_OF_EACH_KIND)
    return [PasswordHash(row.password_hash) for row in result if row.password_hash is not None]


async def list_keys(connection: AsyncConnection, user_id: UUID) -> list[KeyInfo]:
    """The keys of a user, oldest first."""
    result = await connection.execute(LIST_KEYS, {"owner_id": user_id})
    return [KeyInfo(*row) for row in result]


async def set_password_hash(
    connection: AsyncConnection, user_id: UUID, password_hash: PasswordHash
) -> None:
    """Give all of a user's keys that take a password another one."""
    await connection.execute(SET_PASSWORD_HASH, {"owner_id": user_id, "new_hash": password_hash})


async def lock_user(connection: AsyncConnection, user_id: UUID) -> None:
    """Until the transaction ends, have others wait who lock the same user."""
    await connection.execute(LOCK_USER, {"user_id": user_id})


async def remove_key(connection: AsyncConnection, user_id: UUID, provider: str, name: str) -> bool:
    """Take a key from a user; tell whether they had it."""
    result = await connection.execute(
        REMOVE_KEY, {"owner_id": user_id, "key_provider": provider, "key_name": name}
    )
    return result.rowcount == 1


async def find_user(connection: AsyncConnection, user_id: UUID) -> User | None:
    result = await connection.execute(FIND_USER, {"user_id": user_id})
    row = result.one_or_none()
    return None if row is None else _user(row)


async def list_users(connection: AsyncConnection, how_many: int, after: UUID) -> list[User]:
    """A page of users in the order of their ids; the next page begins after the last one's."""
    result = await connection.execute(LIST_USERS, {"how_many": how_many, "after": after})
    return [_user(row) for row in result]


async def delete_user(connection: AsyncConnection, user_id: UUID) -> bool:
    """Delete a user with keys and sessions; tell whether there was one."""
    result = await connection.execute(DELETE_USER, {"user_id": user_id})
    return result.rowcount == 1


def _key(row: Row[*tuple[Any, ...]] | None) -> Key | None:
    if row is None:
        return None
    return Key(
        provider=row.provider,
        name=row.name,
        user=User(id=row.user_id, username=row.username, created_at=row.joined_at),
        password_hash=None if row.password_hash is None else PasswordHash(row.password_hash),
    )


def _user(row: Row[*tuple[Any, ...]]) -> User:
    return User(id=row.id, username=row.username, created_at=row.joined_at)
