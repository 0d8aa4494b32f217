"""The requests for a link to reset a password, taken by several processes."""

from __future__ import annotations

import pytest

from service.storage.database import Database
from service.storage.password_resets import ResetRequest, take_reset_request
from tests.databases import execute

FIRST, SECOND = (ResetRequest(username=name, address=None) for name in ("alice", "bobby"))

# The second one is found first by whoever reads the table as it is.
ADD_BOTH = "INSERT INTO reset_request (id, username) VALUES (2, 'bobby'), (1, 'alice')"


@pytest.fixture(autouse=True)
def both_requests(database_url: str) -> None:
    execute(database_url, ADD_BOTH)


async def test_requests_are_taken_one_after_another_the_oldest_first(database: Database) -> None:
    for expected in (FIRST, SECOND, None):
        async with database.transaction() as connection:
            assert await take_reset_request(connection) == expected


async def test_a_request_that_is_being_answered_holds_up_no_other(database: Database) -> None:
    async with database.transaction() as connection, database.transaction() as another:
        await another.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
        assert await take_reset_request(connection) == FIRST
        assert await take_reset_request(another) == SECOND
        assert await take_reset_request(another) is None
