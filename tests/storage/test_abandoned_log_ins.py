"""Log-ins that stopped at the second factor, as the cleanup takes them."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from service.storage.database import Database
from service.storage.factors.abandoned_log_ins import take_abandoned_log_ins
from tests.databases import execute, fetch_value, held
from tests.storage.conftest import add_user

COUNT = "SELECT count(*) FROM challenge"


def add(
    database_url: str,
    user_id: UUID,
    number: int = 1,
    *,
    purpose: str = "second_factor",
    seconds: int = 0,
) -> None:
    """Add challenges of an hour ago, which expire in so many seconds."""
    execute(
        database_url,
        """INSERT INTO challenge (id, purpose, user_id, created_at, expires_at, data)
        SELECT gen_random_uuid(), $2, $1, now() - interval '1 hour',
               now() + $3::int * interval '1 second', '{"address": "192.0.2.1"}'
        FROM generate_series(1, $4)""",
        *(user_id, purpose, seconds, number),
    )


async def taken(database: Database, max_rows: int = 10) -> list[bool]:
    """Return of each log-in that is taken whether it was completed."""
    async with database.transaction() as connection:
        found = await take_abandoned_log_ins(connection, max_rows)
    return [each.was_completed for each in found]


async def test_only_log_ins_whose_time_is_over_are_taken(
    database_url: str, database: Database, alice: UUID
) -> None:
    add(database_url, alice)
    add(database_url, alice, seconds=60)
    add(database_url, alice, purpose="email")
    assert await taken(database) == [False]
    assert await asyncio.to_thread(fetch_value, database_url, COUNT) == 2


async def test_so_many_are_taken_at_a_time(
    database_url: str, database: Database, alice: UUID
) -> None:
    add(database_url, alice, 5)
    assert [len(await taken(database, 2)) for _ in range(4)] == [2, 2, 1, 0]


async def test_those_that_another_process_takes_are_left_to_it(
    database_url: str, database: Database, alice: UUID
) -> None:
    add(database_url, alice, 2)
    with held(database_url, "SELECT FROM challenge FOR UPDATE"):
        assert await taken(database) == []
    assert await taken(database) == [False, False]


@pytest.mark.parametrize(
    ("minutes", "address", "is_completed"),
    [(59, "192.0.2.1", True), (61, "192.0.2.1", False), (59, "192.0.2.2", False)],
)
async def test_a_later_session_of_the_user_at_the_same_address_completes_a_log_in(
    database_url: str,
    database: Database,
    alice: UUID,
    *,
    minutes: int,
    address: str,
    is_completed: bool,
) -> None:
    for user_id in (alice, add_user(database_url)):
        add(database_url, user_id)
    execute(
        database_url,
        """INSERT INTO session (id, secret_hash, user_id, created_at, address,
            active_expires_at, idle_expires_at, absolute_expires_at)
        SELECT gen_random_uuid(), '', $1, now() - $2::int * interval '1 minute', $3::text::inet,
            now(), now(), now()""",
        *(alice, minutes, address),
    )
    assert sorted(await taken(database)) == [False, is_completed]
