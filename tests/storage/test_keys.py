"""The names of a user and the one password, as far as only the database shows them."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from service.model.users import PasswordHash
from service.storage.database import Database
from service.storage.errors import StatementRefused
from service.storage.keys import (
    add_key,
    find_hash_of_each_scheme,
    find_identified_key,
    find_key,
    find_password_key,
    list_keys,
    lock_verified_key,
    remove_key,
)
from service.storage.users import find_user, list_users
from tests.databases import execute, fetch
from tests.storage.conftest import add_user, forbid_indexes

ADD_KEY = """
INSERT INTO key (provider, name, user_id, display_name, password_hash, password_scheme, created_at)
VALUES ($1, $2, $3, upper($2), $4, $5, '2026-01-01'::timestamptz + $6 * interval '1 day')
"""


def add(
    database_url: str,
    user_id: UUID,
    key: str,
    *,
    day: int,
    password: str | None = None,
    scheme: str = "scheme",
) -> None:
    """Add a key, written as provider and name with a colon between, on a day of 2026."""
    provider, name = key.split(":")
    scheme_or_none = None if password is None else scheme
    execute(database_url, ADD_KEY, provider, name, user_id, password, scheme_or_none, float(day))


async def test_the_display_name_is_that_of_the_oldest_username(
    database: Database, database_url: str, alice: UUID
) -> None:
    """Of two that are equally old it is the first of the alphabet."""
    for name, day in {
        "username:a-younger": 3,
        "username:c-old": 2,
        "username:b-old": 2,
        "email:oldest": 1,
    }.items():
        add(database_url, alice, name, day=day)
    add(database_url, add_user(database_url), "username:another-user", day=0)
    async with database.connect() as connection:
        await forbid_indexes(connection)
        user = await find_user(connection, alice)
        key = await find_key(connection, "email", "oldest")
    assert user is not None
    assert key is not None
    assert user.username == key.user.username == "B-OLD"


async def test_a_user_with_several_addresses_is_shown_once_with_the_oldest(
    database: Database, database_url: str, alice: UUID
) -> None:
    """Users who moved in from elsewhere can have several."""
    for name, day in {"a-younger": 3, "c-old": 2, "b-old": 2, "d-younger": 4}.items():
        add(database_url, alice, f"email:{name}", day=day)
    async with database.connect() as connection:
        await forbid_indexes(connection)
        users = await list_users(connection, 10, UUID(int=0))
    assert [user.email for user in users] == ["B-OLD"]


async def test_a_key_is_found_by_its_provider_and_its_name(
    database: Database, database_url: str, alice: UUID
) -> None:
    for key in ("username:bob", "email:alice"):
        add(database_url, add_user(database_url), key, day=1)
    add(database_url, alice, "username:alice", day=1)
    async with database.connect() as connection:
        found = await find_key(connection, "username", "alice")
        missing = await find_key(connection, "email", "bob")
    assert found is not None
    assert (found.user.id, missing) == (alice, None)


async def test_of_a_user_name_and_an_address_the_address_is_found(
    database: Database, database_url: str, alice: UUID
) -> None:
    add(database_url, alice, "username:alice", day=1)
    bob = add_user(database_url)
    add(database_url, bob, "email:alice", day=2)
    async with database.connect() as connection:
        # The users are read in their order, with a hash table of the keys.
        await connection.execute(text("SET enable_nestloop = off"))
        await connection.execute(text("SET enable_mergejoin = off"))
        found = await find_identified_key(connection, username="alice", address="alice")
    assert found is not None
    assert found.user.id == bob


async def test_only_the_key_whose_password_was_verified_is_locked(
    database: Database, database_url: str, alice: UUID
) -> None:
    """The keys of a user have one password, and keys of different providers can have one name."""
    add(database_url, alice, "username:alice", day=1, password="hash")
    async with database.connect() as connection:
        verified = await find_key(connection, "username", "alice")
        assert verified is not None
        assert await lock_verified_key(connection, verified)
        for changed in (
            replace(verified, provider="email"),
            replace(verified, name="another"),
            replace(verified, password_hash=PasswordHash("another", "scheme")),
        ):
            assert not await lock_verified_key(connection, changed)


async def test_a_key_is_not_verified_unless_that_is_said(database: Database, alice: UUID) -> None:
    async with database.transaction() as connection:
        await add_key(
            connection,
            user_id=alice,
            provider="email",
            name="alice@example.com",
            display_name="alice@example.com",
            password_hash=None,
        )
        (key,) = await list_keys(connection, alice)
    assert key.verified_at is None


async def test_the_password_is_that_of_the_username_else_of_the_oldest_key(
    database: Database, database_url: str, alice: UUID
) -> None:
    """Guesses are counted by the name of one key, which must be the same each time."""
    add(database_url, alice, "email:a-younger", day=3, password="a")
    add(database_url, alice, "email:c-old", day=2, password="c")
    add(database_url, alice, "email:b-old", day=2, password="b")
    add(database_url, alice, "email:oldest", day=1)
    async with database.connect() as connection:
        found = await find_password_key(connection, alice)
        assert found is not None
        assert found.name == "b-old"
        add(database_url, alice, "username:youngest", day=4, password="d")
        found = await find_password_key(connection, alice)
    assert found is not None
    assert found.name == "youngest"


async def test_keys_are_listed_by_age_then_provider_then_name(
    database: Database, database_url: str, alice: UUID
) -> None:
    ordered = ["x:oldest", "a:y", "a:z", "b:x", "a:youngest"]
    for key, day in {"a:youngest": 3, "b:x": 2, "a:z": 2, "a:y": 2, "x:oldest": 1}.items():
        add(database_url, alice, key, day=day)
    async with database.connect() as connection:
        listed = await list_keys(connection, alice)
    assert [f"{key.provider}:{key.name}" for key in listed] == ordered


async def test_only_the_named_key_of_its_owner_is_removed(
    database: Database, database_url: str, alice: UUID
) -> None:
    for key in ("github:1", "github:2", "gitlab:1"):
        add(database_url, alice, key, day=1)
    async with database.connect() as connection:
        assert not await remove_key(connection, add_user(database_url), "github", "1")
        assert await remove_key(connection, alice, "github", "1")
        assert not await remove_key(connection, alice, "github", "1")
    left = fetch(database_url, "SELECT provider, name FROM key ORDER BY 1, 2")
    assert [tuple(key) for key in left] == [("github", "2"), ("gitlab", "1")]


async def test_a_key_of_no_user_is_refused(database: Database) -> None:
    with pytest.raises(StatementRefused):
        async with database.connect() as connection:
            await add_key(
                connection,
                user_id=uuid4(),
                provider="username",
                name="alice",
                display_name="Alice",
                password_hash=None,
            )


async def test_one_hash_of_each_scheme_is_found(
    database: Database, database_url: str, alice: UUID
) -> None:
    for number, scheme in enumerate(["b", "b", "b", "a", "a", "c"]):
        password = f"a hash by {scheme}"
        add(database_url, alice, f"email:{number}", day=1, password=password, scheme=scheme)
    add(database_url, alice, "username:alice", day=1)
    async with database.connect() as connection:
        found = await find_hash_of_each_scheme(connection)
    assert found == [PasswordHash(f"a hash by {scheme}", scheme) for scheme in "abc"]
