"""Keys: the statements on the names by which users log in, and their password hashes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    Boolean,
    Select,
    Text,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    literal_column,
    null,
    select,
    text,
    true,
    union_all,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.users import Key, KeyInfo, PasswordHash, Provider, User
from service.storage.direct import DirectStatement
from service.storage.factors.existing import has_factor
from service.storage.tables import key, user

UNIQUE_VIOLATION = "23505"

_decode_object = msgspec.json.Decoder(dict[str, Any]).decode

_username_key = key.alias("username_key")

# The name a user is shown by, selected beside columns of "user". Its constants are literals, so
# that a statement has no parameters but its own.
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

_email_key = key.alias("email_key")

# The address a user is shown with, to be joined to "user" by `LEFT JOIN LATERAL`: a subquery for
# each of its two columns would search the index twice.
ADDRESS = (
    select(_email_key.c.display_name, _email_key.c.verified_at)
    .where(
        _email_key.c.user_id == user.c.id,
        _email_key.c.provider == literal_column(f"'{Provider.EMAIL}'"),
    )
    .order_by(_email_key.c.created_at, _email_key.c.name)
    .limit(literal_column("1"))
    .correlate(user)
    .lateral("address")
)

# What is shown of a user, from "user" and `ADDRESS`.
USER_COLUMNS = (
    DISPLAY_NAME.label("username"),
    ADDRESS.c.display_name.label("email"),
    ADDRESS.c.verified_at.label("email_verified_at"),
    user.c.roles.label("user_roles"),
    cast(user.c.metadata, Text).label("user_metadata"),
    user.c.created_at.label("user_created_at"),
)

_KEY_COLUMNS = (
    key.c.provider,
    key.c.name,
    key.c.user_id,
    key.c.password_hash,
    key.c.password_scheme,
)
# How the user of a key is protected.
_PROTECTION = (user.c.security_version, has_factor(user.c.id).label("has_factor"))
_KEYS_WITH_USERS = select(*_KEY_COLUMNS, *_PROTECTION, *USER_COLUMNS).select_from(
    key.join(user).outerjoin(ADDRESS, true())
)


class KeyExists(Exception):
    """There is a key of that provider and name already."""


FIND_KEY = _KEYS_WITH_USERS.where(
    key.c.provider == bindparam("provider"), key.c.name == bindparam("name")
)
_FIND_KEY = DirectStatement(FIND_KEY)


async def find_key(connection: AsyncConnection, provider: str, name: str) -> Key | None:
    """Find a key by its prepared name, with its user."""
    row = await _FIND_KEY.one_or_none(connection, {"provider": provider, "name": name})
    return None if row is None else key_of_row(row)


def _keys_named(provider: Provider, name: str) -> Select[*tuple[Any, ...]]:
    return select(*_KEY_COLUMNS).where(
        key.c.provider == literal_column(f"'{provider}'"),
        key.c.name == bindparam(name, type_=Text),
    )


# The address, if both are found: it sorts first. Two searches of the index, each for one row: an OR
# might be answered by reading all of it.
_identified = union_all(
    _keys_named(Provider.EMAIL, "address"), _keys_named(Provider.USERNAME, "username")
).subquery("identified")
FIND_IDENTIFIED_KEY = (
    select(_identified, *_PROTECTION, *USER_COLUMNS)
    .select_from(
        _identified.join(user, user.c.id == _identified.c.user_id).outerjoin(ADDRESS, true())
    )
    .order_by(_identified.c.provider)
    .limit(literal_column("1"))
)


async def find_identified_key(
    connection: AsyncConnection, *, username: str | None, address: str | None
) -> Key | None:
    """Find the key of an address, else that of a user name, both prepared, with its user."""
    parameters = {"username": username, "address": address}
    row = (await connection.execute(FIND_IDENTIFIED_KEY, parameters)).one_or_none()
    return None if row is None else key_of_row(row)


# The username key's password, if there is such a key, is the user's.
FIND_PASSWORD_KEY = (
    _KEYS_WITH_USERS.where(key.c.user_id == bindparam("owner_id"), key.c.password_hash.is_not(None))
    .order_by((key.c.provider == Provider.USERNAME).desc(), key.c.created_at, key.c.name)
    .limit(1)
)


async def find_password_key(connection: AsyncConnection, user_id: UUID) -> Key | None:
    """Find the key that holds a user's password."""
    result = await connection.execute(FIND_PASSWORD_KEY, {"owner_id": user_id})
    row = result.one_or_none()
    return None if row is None else key_of_row(row)


LIST_KEYS = (
    select(
        key.c.provider,
        key.c.name,
        key.c.display_name,
        key.c.password_hash.is_not(None),
        key.c.verified_at,
    )
    .where(key.c.user_id == bindparam("owner_id"))
    .order_by(key.c.created_at, key.c.provider, key.c.name)
)


async def list_keys(connection: AsyncConnection, user_id: UUID) -> list[KeyInfo]:
    """Return the keys of a user, oldest first."""
    result = await connection.execute(LIST_KEYS, {"owner_id": user_id})
    return [KeyInfo(*row) for row in result]


ADD_KEY = insert(key).values(
    provider=bindparam("provider"),
    name=bindparam("name"),
    user_id=bindparam("user_id"),
    display_name=bindparam("display_name"),
    password_hash=bindparam("password_hash"),
    password_scheme=bindparam("password_scheme"),
    verified_at=case((bindparam("is_verified", type_=Boolean), func.now()), else_=null()),
)


async def add_key(  # noqa: PLR0913
    connection: AsyncConnection,
    *,
    user_id: UUID,
    provider: str,
    name: str,
    display_name: str,
    password_hash: PasswordHash | None,
    is_verified: bool = False,
) -> None:
    """Insert a key of a user, with an address that is verified now. Raises `KeyExists`."""
    parameters = {
        "user_id": user_id,
        "provider": provider,
        "name": name,
        "display_name": display_name,
        "password_hash": None if password_hash is None else password_hash.text,
        "password_scheme": None if password_hash is None else password_hash.scheme,
        "is_verified": is_verified,
    }
    with _finding_existing_key():
        await connection.execute(ADD_KEY, parameters)


@contextmanager
def _finding_existing_key() -> Iterator[None]:
    """Raise `KeyExists` if the statement of the body violates the primary key."""
    try:
        yield
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) == UNIQUE_VIOLATION:
            raise KeyExists from error
        raise


REMOVE_KEY = delete(key).where(
    key.c.user_id == bindparam("owner_id"),
    key.c.provider == bindparam("key_provider"),
    key.c.name == bindparam("key_name"),
)


async def remove_key(connection: AsyncConnection, user_id: UUID, provider: str, name: str) -> bool:
    """Delete a key of a user. Returns whether there was one."""
    result = await connection.execute(
        REMOVE_KEY, {"owner_id": user_id, "key_provider": provider, "key_name": name}
    )
    return result.rowcount == 1


# Guarded by the hash that was verified: a change of the password meanwhile takes precedence.
REPLACE_PASSWORD_HASH = (
    update(key)
    .where(
        key.c.provider == bindparam("key_provider"),
        key.c.name == bindparam("key_name"),
        key.c.password_hash == bindparam("verified_hash"),
    )
    .values(password_hash=bindparam("new_hash"), password_scheme=bindparam("new_scheme"))
)


async def replace_password_hash(
    connection: AsyncConnection, key: Key, new_hash: PasswordHash
) -> bool:
    """Replace a key's password hash if it is still the one that was read. Returns whether."""
    result = await connection.execute(
        REPLACE_PASSWORD_HASH,
        {
            "key_provider": key.provider,
            "key_name": key.name,
            "verified_hash": None if key.password_hash is None else key.password_hash.text,
            "new_hash": new_hash.text,
            "new_scheme": new_hash.scheme,
        },
    )
    return result.rowcount == 1


LOCK_VERIFIED_KEY = (
    select(key.c.user_id)
    .where(
        key.c.provider == bindparam("key_provider"),
        key.c.name == bindparam("key_name"),
        key.c.password_hash == bindparam("verified_hash"),
    )
    .with_for_update(read=True)
)


async def lock_verified_key(connection: AsyncConnection, key: Key) -> bool:
    """Lock a key until the transaction ends, if its password is still the one that was read."""
    result = await connection.execute(
        LOCK_VERIFIED_KEY,
        {
            "key_provider": key.provider,
            "key_name": key.name,
            "verified_hash": None if key.password_hash is None else key.password_hash.text,
        },
    )
    return result.first() is not None


HAS_NAME = select(
    select(key.c.name)
    .where(
        key.c.user_id == bindparam("owner_id"),
        key.c.provider.in_([Provider.USERNAME, Provider.EMAIL]),
    )
    .exists()
)


async def has_name(connection: AsyncConnection, user_id: UUID) -> bool:
    """Return whether a user has a user name or an address, with which a password could log in."""
    found: bool = (await connection.execute(HAS_NAME, {"owner_id": user_id})).scalar_one()
    return found


RENAME = (
    update(key)
    .where(key.c.user_id == bindparam("owner_id"), key.c.provider == Provider.USERNAME)
    .values(name=bindparam("new_name"), display_name=bindparam("new_display_name"))
)


async def rename(connection: AsyncConnection, user_id: UUID, name: str, display_name: str) -> bool:
    """Change a user's user name. Returns whether they have one. Raises `KeyExists`."""
    parameters = {"owner_id": user_id, "new_name": name, "new_display_name": display_name}
    with _finding_existing_key():
        return (await connection.execute(RENAME, parameters)).rowcount > 0


# A user has one password, whichever key they log in by.
SET_PASSWORD_HASH = (
    update(key)
    .where(
        key.c.user_id == bindparam("owner_id"),
        key.c.password_hash.is_not(None) | key.c.provider.in_([Provider.USERNAME, Provider.EMAIL]),
    )
    .values(password_hash=bindparam("new_hash"), password_scheme=bindparam("new_scheme"))
)


async def set_password_hash(
    connection: AsyncConnection, user_id: UUID, password_hash: PasswordHash
) -> bool:
    """Set the password hash of a user's keys that have one, and of user names and addresses.

    Returns whether there is such a key.
    """
    result = await connection.execute(
        SET_PASSWORD_HASH,
        {
            "owner_id": user_id,
            "new_hash": password_hash.text,
            "new_scheme": password_hash.scheme,
        },
    )
    return result.rowcount > 0


REMOVE_PASSWORD = (
    update(key)
    .where(key.c.user_id == bindparam("owner_id"), key.c.password_hash.is_not(None))
    .values(password_hash=null(), password_scheme=null())
)


async def remove_password(connection: AsyncConnection, user_id: UUID) -> None:
    """Remove the password of a user: nobody logs in with it any more."""
    await connection.execute(REMOVE_PASSWORD, {"owner_id": user_id})


# A loose index scan (from one scheme to the next): there are few schemes of many hashes.
FIND_HASH_OF_EACH_SCHEME = text(
    """
    WITH RECURSIVE found (scheme) AS (
        (SELECT password_scheme FROM key WHERE password_scheme IS NOT NULL ORDER BY 1 LIMIT 1)
        UNION ALL
        SELECT (
            SELECT password_scheme FROM key
            WHERE password_scheme > found.scheme ORDER BY 1 LIMIT 1
        )
        FROM found WHERE found.scheme IS NOT NULL
    )
    SELECT found.scheme,
           (SELECT password_hash FROM key WHERE password_scheme = found.scheme LIMIT 1) AS hash
    FROM found WHERE found.scheme IS NOT NULL
    """
)


async def find_hash_of_each_scheme(connection: AsyncConnection) -> list[PasswordHash]:
    """Return one password hash of each scheme that is in use."""
    result = await connection.execute(FIND_HASH_OF_EACH_SCHEME)
    return [PasswordHash(row.hash, row.scheme) for row in result if row.hash is not None]


def key_of_row(row: Any) -> Key:
    """Convert a row with the columns of a key and its user."""
    has_password = row.password_hash is not None
    return Key(
        provider=row.provider,
        name=row.name,
        user=user_of_row(row),
        security_version=row.security_version,
        has_factor=row.has_factor,
        password_hash=PasswordHash(row.password_hash, row.password_scheme)
        if has_password
        else None,
    )


def user_of_row(row: Any) -> User:
    """Convert a row with a user's id and `USER_COLUMNS`."""
    return User(
        id=row.user_id,
        username=row.username,
        email=row.email,
        email_verified_at=row.email_verified_at,
        roles=row.user_roles,
        metadata=decode_metadata(row.user_metadata),
        created_at=row.user_created_at,
    )


def decode_metadata(text: str) -> dict[str, Any]:
    """Convert the column ``metadata``. Most users have none, which takes no decoding."""
    return {} if text == "{}" else _decode_object(text)
