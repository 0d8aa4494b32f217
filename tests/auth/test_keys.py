from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from service.auth.errors import KeyTaken, LastKey, NoSuchKey
from service.auth.keys import Keys
from service.model.users import PasswordHash
from service.storage.database import Database
from tests.databases import execute, held, uncommitted, wait_for_lock_waiters

HASH = PasswordHash("a hash", "a scheme")


@pytest.fixture
def keys(database: Database) -> Keys:
    return Keys(database)


@pytest.fixture
def users(database_url: str) -> list[UUID]:
    """Create two users without keys."""
    ids = [uuid4(), uuid4()]
    for user_id in ids:
        execute(database_url, 'INSERT INTO "user" (id) VALUES ($1)', user_id)
    return ids


async def providers(keys: Keys, user_id: UUID) -> list[str]:
    return [key.provider for key in await keys.list(user_id)]


async def test_a_user_can_have_several_keys(users: list[UUID], keys: Keys) -> None:
    await keys.add(users[0], "username", "alice", display_name="Alice", password_hash=HASH)
    await keys.add(users[0], "email", "alice@example.com", password_hash=HASH)
    await keys.add(users[0], "github", "42")
    assert await providers(keys, users[0]) == ["username", "email", "github"]
    listed = await keys.list(users[0])
    assert [key.has_password for key in listed] == [True, True, False]
    assert [key.display_name for key in listed] == ["Alice", "alice@example.com", "42"]


async def test_a_key_has_one_owner(users: list[UUID], keys: Keys) -> None:
    await keys.add(users[0], "github", "42")
    with pytest.raises(KeyTaken):
        await keys.add(users[1], "github", "42")
    await keys.add(users[1], "gitlab", "42")


async def test_a_key_can_be_removed_if_a_usable_one_remains(users: list[UUID], keys: Keys) -> None:
    await keys.add(users[0], "username", "alice", password_hash=HASH)
    await keys.add(users[0], "github", "42")
    await keys.add(users[0], "email", "alice@example.com", password_hash=HASH)
    await keys.remove(users[0], "github", "42")
    await keys.remove(users[0], "username", "alice")
    assert await providers(keys, users[0]) == ["email"]


async def test_the_last_usable_key_cannot_be_removed(users: list[UUID], keys: Keys) -> None:
    """A username or an address without a password is not usable."""
    await keys.add(users[0], "github", "42")
    await keys.add(users[0], "email", "alice@example.com")
    await keys.add(users[0], "username", "alice")
    with pytest.raises(LastKey):
        await keys.remove(users[0], "github", "42")
    await keys.remove(users[0], "email", "alice@example.com")
    with pytest.raises(LastKey):
        await keys.remove(users[0], "github", "42")


async def test_a_user_cannot_remove_the_key_of_another(users: list[UUID], keys: Keys) -> None:
    await keys.add(users[0], "github", "42")
    with pytest.raises(NoSuchKey):
        await keys.remove(users[1], "github", "42")


async def test_a_removal_during_another_one_leaves_the_last_key(
    users: list[UUID], keys: Keys, database_url: str
) -> None:
    await keys.add(users[0], "github", "1")
    await keys.add(users[0], "github", "2")
    remove_the_first = f"""
        SELECT FROM "user" WHERE id = '{users[0]}' FOR UPDATE;
        DELETE FROM key WHERE name = '1'"""
    with uncommitted(database_url, remove_the_first):
        removal = asyncio.create_task(keys.remove(users[0], "github", "2"))
        await asyncio.to_thread(wait_for_lock_waiters, database_url)
    with pytest.raises(LastKey):
        await removal
    assert [key.name for key in await keys.list(users[0])] == ["2"]


async def test_a_removal_does_not_wait_for_that_of_another_user(
    users: list[UUID], keys: Keys, database_url: str
) -> None:
    await keys.add(users[0], "github", "1")
    await keys.add(users[0], "github", "2")
    with held(database_url, f"""SELECT FROM "user" WHERE id = '{users[1]}' FOR UPDATE"""):
        await keys.remove(users[0], "github", "1")


async def test_concurrent_removals_leave_one_key(users: list[UUID], keys: Keys) -> None:
    await keys.add(users[0], "github", "1")
    await keys.add(users[0], "github", "2")
    removals = (keys.remove(users[0], "github", name) for name in ("1", "2"))
    results = await asyncio.gather(*removals, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["LastKey", "NoneType"]
    assert len(await keys.list(users[0])) == 1
