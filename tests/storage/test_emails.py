"""The addresses of users, as far as only the database shows them."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from service.storage import emails as storage
from service.storage.database import Database
from tests.databases import execute, fetch
from tests.storage.conftest import add_user, forbid_indexes

ADDRESS = "alice@example.org"

ADD_KEY = """
INSERT INTO key (provider, name, user_id, display_name, verified_at, created_at)
VALUES ($1, $2, $3, upper($2), $4, '2026-01-01'::timestamptz + $5 * interval '1 day')
"""


class Keys:
    """The keys of users."""

    def __init__(self, database_url: str) -> None:
        self.url = database_url
        self.alice, self.bobby = add_user(database_url), add_user(database_url)
        self.now = fetch(database_url, "SELECT now()")[0][0]

    def add(self, user_id: UUID, key: str, *, is_verified: bool = True, day: int = 0) -> None:
        """Add a key, written as provider and name with a colon between, on a day of 2026."""
        provider, name = key.split(":")
        verified_at = self.now if is_verified else None
        execute(self.url, ADD_KEY, provider, name, user_id, verified_at, float(day))

    async def left(self) -> set[str]:
        """Return the keys that there are."""
        rows = await asyncio.to_thread(fetch, self.url, "SELECT provider, name FROM key")
        return {f"{row['provider']}:{row['name']}" for row in rows}


@pytest.fixture
def keys(database_url: str) -> Keys:
    return Keys(database_url)


async def test_of_several_verified_addresses_that_of_a_user_is_the_oldest(
    keys: Keys, database: Database
) -> None:
    """Of two that are equally old it is the first of the alphabet."""
    for name, day in {"a-younger": 3, "c-old": 2, "b-old": 2}.items():
        keys.add(keys.alice, f"email:{name}", day=day)
    keys.add(keys.alice, "email:older", day=1, is_verified=False)
    keys.add(keys.bobby, "email:another-user", day=0)
    async with database.connect() as connection:
        await forbid_indexes(connection)
        found = await storage.find_verified_address(connection, keys.alice)
    assert found == storage.Address("b-old", "B-OLD")


async def test_only_an_address_is_one(keys: Keys, database: Database) -> None:
    """A user name that moved in from elsewhere can look like one."""
    keys.add(keys.alice, f"username:{ADDRESS}")
    async with database.connect() as connection:
        assert await storage.find_verified_address(connection, keys.alice) is None
        assert await storage.find_owned_address(connection, ADDRESS) is None


async def test_an_unverified_address_is_taken_away_and_nothing_else(
    keys: Keys, database: Database
) -> None:
    keys.add(keys.bobby, f"email:{ADDRESS}", is_verified=False)
    keys.add(keys.bobby, f"username:{ADDRESS}", is_verified=False)
    keys.add(keys.bobby, "email:bobby@example.org", is_verified=False)
    async with database.transaction() as connection:
        await storage.take_unverified_address(connection, ADDRESS)
    assert await keys.left() == {f"username:{ADDRESS}", "email:bobby@example.org"}


async def test_a_verified_address_is_not_taken_away(keys: Keys, database: Database) -> None:
    keys.add(keys.bobby, f"email:{ADDRESS}")
    async with database.transaction() as connection:
        await storage.take_unverified_address(connection, ADDRESS)
    assert await keys.left() == {f"email:{ADDRESS}"}
