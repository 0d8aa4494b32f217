"""Users: the statements on the table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

from msgspec.structs import replace
from sqlalchemy import (
    ColumnElement,
    Select,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    null,
    select,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.admissions import Admission
from service.model.users import Key, PasswordHash, Provider, User
from service.storage.keys import ADDRESS, USER_COLUMNS, add_key, user_of_row
from service.storage.tables import key, user
from service.storage.username_holds import NAME_HASH, holding

EMPTY: Mapping[str, Any] = MappingProxyType({})

ADD_USER = (
    insert(user)
    .values(id=bindparam("id"), roles=bindparam("roles"), metadata=bindparam("metadata"))
    .returning(user.c.created_at)
)


async def add_nameless_user(
    connection: AsyncConnection, admission: Admission, metadata: Mapping[str, Any] = EMPTY
) -> User:
    """Insert a user who was admitted, with no key, in a transaction."""
    user_id = uuid4()
    parameters = {"id": user_id, "roles": [*admission.roles], "metadata": {**metadata}}
    created_at = (await connection.execute(ADD_USER, parameters)).scalar_one()
    return User(
        id=user_id,
        username=None,
        email=None,
        email_verified_at=None,
        roles=[*admission.roles],
        metadata={**metadata},
        created_at=created_at,
    )


async def add_user(  # noqa: PLR0913
    connection: AsyncConnection,
    admission: Admission,
    *,
    provider: str,
    name: str,
    display_name: str,
    password_hash: PasswordHash | None,
    is_verified: bool = False,
    metadata: Mapping[str, Any] = EMPTY,
) -> Key:
    """Insert a user who was admitted, and their first key, in a transaction. Raises `KeyExists`."""
    added = await add_nameless_user(connection, admission, metadata)
    await add_key(
        connection,
        user_id=added.id,
        provider=provider,
        name=name,
        display_name=display_name,
        password_hash=password_hash,
        is_verified=is_verified,
    )
    return Key(
        provider=provider,
        name=name,
        user=replace(
            added,
            username=display_name if provider == Provider.USERNAME else None,
            email=display_name if provider == Provider.EMAIL else None,
            email_verified_at=added.created_at if is_verified else None,
        ),
        security_version=0,
        has_factor=False,
        password_hash=password_hash,
    )


_USERS = select(user.c.id.label("user_id"), *USER_COLUMNS).select_from(
    user.outerjoin(ADDRESS, true())
)

FIND_USER = _USERS.where(user.c.id == bindparam("user_id"))


async def find_user(connection: AsyncConnection, user_id: UUID) -> User | None:
    """Find a user by id."""
    row = (await connection.execute(FIND_USER, {"user_id": user_id})).one_or_none()
    return None if row is None else user_of_row(row)


LIST_USERS = (
    _USERS.where(user.c.id > bindparam("after", type_=user.c.id.type))
    .order_by(user.c.id)
    .limit(bindparam("max_rows"))
)


async def list_users(connection: AsyncConnection, max_rows: int, after: UUID) -> list[User]:
    """Return a page of users in the order of their ids, beginning after an id."""
    result = await connection.execute(LIST_USERS, {"max_rows": max_rows, "after": after})
    return [user_of_row(row) for row in result]


# Before any key, as a log-in does, so that nobody waits in a circle.
LOCK_USER = (
    select(user.c.id).where(user.c.id == bindparam("user_id")).with_for_update(key_share=True)
)


async def lock_user(connection: AsyncConnection, user_id: UUID) -> bool:
    """Lock a user until the transaction ends. Returns whether there is one.

    Whoever changes several rows of a user begins with it: keys, then sessions, then challenges
    come later. To lock the keys instead would not do, for some may come and go meanwhile.
    """
    return (await connection.execute(LOCK_USER, {"user_id": user_id})).first() is not None


LOCK_ENABLED_USER = LOCK_USER.where(user.c.disabled_at.is_(None))


async def lock_enabled_user(connection: AsyncConnection, user_id: UUID) -> bool:
    """Lock a user, as `lock_user` does. Returns whether there is one who is not disabled."""
    return (await connection.execute(LOCK_ENABLED_USER, {"user_id": user_id})).first() is not None


LOCK_SECURITY_VERSION = (
    select(user.c.security_version)
    .where(user.c.id == bindparam("user_id"))
    .with_for_update(key_share=True)
)


async def lock_security_version(connection: AsyncConnection, user_id: UUID) -> int | None:
    """Lock a user, as `lock_user` does. Returns the security version, ``None`` without a user."""
    result = await connection.execute(LOCK_SECURITY_VERSION, {"user_id": user_id})
    version: int | None = result.scalar_one_or_none()
    return version


MOVE_SECURITY_VERSION = (
    update(user)
    .where(user.c.id == bindparam("user_id"))
    .values(
        security_version=user.c.security_version + 1,
        security_changed_at=func.clock_timestamp(),
    )
)


async def move_security_version(connection: AsyncConnection, user_id: UUID) -> None:
    """Void what was begun before a change of what protects a user, in its transaction."""
    await connection.execute(MOVE_SECURITY_VERSION, {"user_id": user_id})


MOVE_VERSION = (
    update(user).where(user.c.id == bindparam("user_id")).values(version=user.c.version + 1)
)


async def move_version(connection: AsyncConnection, user_id: UUID) -> None:
    """Count a change of what is shown of a user, in its transaction, for optimistic locking."""
    await connection.execute(MOVE_VERSION, {"user_id": user_id})


# The keys are locked first, as a log-in does, which locks the user in the end, by foreign keys:
# otherwise the two would wait in a circle.
_keys_to_delete = (
    select(key.c.password_hash)
    .where(key.c.user_id == bindparam("user_id"))
    .order_by(key.c.provider, key.c.name)
    .with_for_update()
    .cte("locked")
)


def _deleting(condition: ColumnElement[bool]) -> Select[tuple[UUID]]:
    """Return a statement that deletes a user on a condition, and holds their user names."""
    deleted = (
        delete(user)
        .where(user.c.id == bindparam("user_id"), condition)
        .returning(user.c.id)
        .cte("deleted")
    )
    names = select(NAME_HASH, null()).join_from(key, deleted, deleted.c.id == key.c.user_id)
    return select(deleted.c.id).add_cte(holding(names).cte("held"))


DELETE_USER = _deleting(
    select(func.count()).select_from(_keys_to_delete).scalar_subquery() >= literal_column("0")
)
DELETE_USER_WITH_PASSWORD = _deleting(
    bindparam("verified_hash", type_=key.c.password_hash.type).in_(select(_keys_to_delete))
)


async def delete_user(connection: AsyncConnection, user_id: UUID) -> bool:
    """Delete a user with all keys and sessions. Returns whether there was one."""
    result = await connection.execute(DELETE_USER, {"user_id": user_id})
    return result.one_or_none() is not None


async def delete_user_of_key(connection: AsyncConnection, verified: Key) -> bool:
    """Delete the user of a key, if the password is still the one that was read. Returns whether."""
    verified_hash = None if verified.password_hash is None else verified.password_hash.text
    result = await connection.execute(
        DELETE_USER_WITH_PASSWORD, {"user_id": verified.user.id, "verified_hash": verified_hash}
    )
    return result.one_or_none() is not None
