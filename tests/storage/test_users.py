"""Users by id, and in pages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.admissions import by_operator
from service.model.users import Key, PasswordHash, User
from service.storage.database import Database
from service.storage.keys import find_key
from service.storage.users import (
    add_user,
    delete_user,
    delete_user_of_key,
    find_user,
    list_users,
    lock_enabled_user,
    lock_security_version,
    lock_user,
)
from tests.databases import execute, fetch_value, held, wait_for_lock_waiters
from tests.storage.conftest import add_reference, forbid_indexes

ALICE = User(
    id=UUID(int=1),
    username="Alice",
    email=None,
    email_verified_at=None,
    created_at=datetime.now(UTC),
)
ALICES_KEY = Key(
    security_version=0,
    provider="username",
    name="a",
    user=ALICE,
    has_factor=False,
    password_hash=PasswordHash("hash", "scheme"),
)
# In the table they are in the opposite of the order in which they are locked.
ADD_KEYS = """
WITH u AS (INSERT INTO "user" (id) VALUES ($1) RETURNING id)
INSERT INTO key (provider, name, user_id, display_name, password_hash, password_scheme)
SELECT provider, name, id, name, 'hash', 'scheme'
FROM u, (VALUES ('username', 'b'), ('username', 'a'), ('email', 'z')) AS k (provider, name)
"""


async def test_users_are_listed_in_pages_in_the_order_of_their_ids(
    database: Database, database_url: str
) -> None:
    for number in (3, 1, 5, 2, 4):
        execute(database_url, 'INSERT INTO "user" (id) VALUES ($1)', UUID(int=number))
    async with database.connect() as connection:
        for after, expected in {0: [1, 2], 2: [3, 4], 4: [5], 5: []}.items():
            page = await list_users(connection, 2, UUID(int=after))
            assert [user.id.int for user in page] == expected


async def test_a_user_is_found_by_id(database: Database, database_url: str) -> None:
    for number in (1, 2):
        execute(database_url, 'INSERT INTO "user" (id) VALUES ($1)', UUID(int=number))
    async with database.connect() as connection:
        found = await find_user(connection, UUID(int=2))
        assert await find_user(connection, UUID(int=3)) is None
    assert found is not None
    assert found.id.int == 2


@pytest.mark.parametrize(
    ("provider", "is_verified"), [("username", False), ("email", False), ("email", True)]
)
async def test_a_user_who_is_added_is_returned_as_they_are_found(
    database: Database, *, provider: str, is_verified: bool
) -> None:
    async with database.transaction() as connection:
        added = await add_user(
            connection,
            by_operator(["editor"]),
            provider=provider,
            name="alice",
            display_name="Alice",
            password_hash=PasswordHash("hash", "scheme"),
            is_verified=is_verified,
            metadata={"plan": "team"},
        )
        assert added == await find_key(connection, provider, "alice")


@pytest.mark.parametrize("lock", [lock_user, lock_enabled_user, lock_security_version])
async def test_what_refers_to_a_user_who_is_locked_can_be_added(
    database: Database,
    database_url: str,
    lock: Callable[[AsyncConnection, UUID], Awaitable[object]],
) -> None:
    """A foreign key locks the user, too: those who wait for it could wait in a circle."""
    execute(database_url, ADD_KEYS, ALICE.id)
    async with database.transaction() as connection:
        await lock(connection, ALICE.id)
        await add_reference(database_url, ALICE.id)


by_id_and_of_a_key = pytest.mark.parametrize(
    "delete",
    [
        lambda connection: delete_user(connection, ALICE.id),
        lambda connection: delete_user_of_key(connection, ALICES_KEY),
    ],
    ids=["by id", "of a key"],
)


@by_id_and_of_a_key
async def test_a_deletion_waits_for_no_key_of_another_user(
    database: Database,
    database_url: str,
    delete: Callable[[AsyncConnection], Awaitable[bool]],
) -> None:
    execute(database_url, ADD_KEYS, ALICE.id)
    execute(
        database_url,
        """WITH u AS (INSERT INTO "user" (id) VALUES (gen_random_uuid()) RETURNING id)
        INSERT INTO key (provider, name, user_id, display_name)
        SELECT 'username', 'c', id, 'c' FROM u""",
    )
    with held(database_url, "SELECT FROM key WHERE name = 'c' FOR UPDATE"):
        async with database.connect() as connection:
            assert await delete(connection)


@by_id_and_of_a_key
@pytest.mark.parametrize(("name", "free"), [("z", ["a", "b"]), ("a", ["b"]), ("b", [])])
async def test_the_keys_of_a_user_are_locked_by_provider_and_name(
    database: Database,
    database_url: str,
    delete: Callable[[AsyncConnection], Awaitable[bool]],
    name: str,
    free: list[str],
) -> None:
    """Whatever the plan; statements that lock them in different orders wait in a circle."""
    execute(database_url, ADD_KEYS, ALICE.id)
    unlocked = """SELECT coalesce(array_agg(name ORDER BY name), '{}')
        FROM (SELECT name FROM key FOR UPDATE SKIP LOCKED) AS free"""
    async with database.connect() as connection:
        await forbid_indexes(connection)
        with held(database_url, f"SELECT FROM key WHERE name = '{name}' FOR UPDATE"):
            deleting = asyncio.ensure_future(delete(connection))
            await asyncio.to_thread(wait_for_lock_waiters, database_url)
            assert fetch_value(database_url, unlocked) == free
        assert await deleting
