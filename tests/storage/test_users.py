"""Users by id, and in pages."""

from __future__ import annotations

from uuid import UUID

from service.storage.database import Database
from service.storage.users import find_user, list_users
from tests.databases import execute


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
