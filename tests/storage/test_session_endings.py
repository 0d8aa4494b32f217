"""Ends of sessions, as far as only the database shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.sessions import SecretHash
from service.storage.database import Database
from service.storage.session_endings import (
    end_all_sessions,
    end_any_sessions,
    end_carried_sessions,
    end_oldest_sessions,
    end_other_sessions,
)
from service.storage.sessions import list_sessions
from tests.databases import execute, fetch_value, held, wait_for_lock_waiters

USER, OTHER = UUID(int=1), UUID(int=9)

# Each is an hour older than the one before it, or all are of the same age.
ADD_SESSIONS = """
WITH u AS (INSERT INTO "user" (id) VALUES ($1) RETURNING id)
INSERT INTO session (id, secret_hash, user_id, created_at, active_expires_at, idle_expires_at,
                     absolute_expires_at)
SELECT CAST(lpad(CAST(n AS text), 32, '0') AS uuid), 'secret', u.id,
       now() - n * make_interval(hours => $2), now(), now() + interval '1 hour', now()
FROM u, generate_series(1, 5) AS n
"""
SESSIONS = [UUID(int=n) for n in range(1, 6)]


def add_sessions(database_url: str, *, hours_apart: int = 1) -> None:
    execute(database_url, ADD_SESSIONS, USER, hours_apart)


async def ids(connection: AsyncConnection, number: int) -> list[UUID]:
    """Return the ids of the newest sessions."""
    return [each.session.id for each in await list_sessions(connection, USER, number)]


async def distract(connection: AsyncConnection) -> None:
    """Leave PostgreSQL only plans that find sessions in the order of the table, or of their ids."""
    for way in ("hashjoin", "nestloop", "indexscan", "indexonlyscan", "bitmapscan"):
        await connection.execute(text(f"SET enable_{way} = off"))


@pytest.mark.parametrize(
    "end",
    [
        lambda connection: end_carried_sessions(
            connection, [(each, SecretHash(b"secret")) for each in SESSIONS]
        ),
        lambda connection: end_other_sessions(connection, USER, OTHER),
        lambda connection: end_all_sessions(connection, USER),
        lambda connection: end_any_sessions(connection, 5),
        lambda connection: end_oldest_sessions(connection, USER, 0),
    ],
    ids=["carried", "others", "all", "any", "oldest"],
)
async def test_sessions_are_locked_from_the_oldest_to_the_newest(
    database: Database, database_url: str, end: Callable[[AsyncConnection], Awaitable[object]]
) -> None:
    """Whatever the plan; statements that lock them in different orders wait in a circle."""
    add_sessions(database_url)
    free = "SELECT count(*) FROM (SELECT FROM session FOR UPDATE SKIP LOCKED) AS free"
    async with database.connect() as connection:
        await distract(connection)
        with held(database_url, "SELECT FROM session ORDER BY created_at LIMIT 1 FOR UPDATE"):
            ending = asyncio.ensure_future(end(connection))
            await asyncio.to_thread(wait_for_lock_waiters, database_url)
            assert fetch_value(database_url, free) == 4
        await ending
        assert await ids(connection, 5) == []


async def test_of_sessions_of_the_same_age_those_listed_last_end_first(
    database: Database, database_url: str
) -> None:
    add_sessions(database_url, hours_apart=0)
    async with database.connect() as connection:
        await distract(connection)
        kept = await ids(connection, 2)
        await end_oldest_sessions(connection, USER, 2)
        assert await ids(connection, 5) == kept


async def test_no_more_sessions_end_at_a_time_than_were_asked_for(
    database: Database, database_url: str
) -> None:
    add_sessions(database_url)
    async with database.connect() as connection:
        assert await end_any_sessions(connection, 3) == 3
        assert len(await ids(connection, 5)) == 2


async def test_ending_all_sessions_counts_only_live_ones(
    database: Database, database_url: str
) -> None:
    add_sessions(database_url)
    execute(
        database_url,
        """UPDATE session SET idle_expires_at = now()
           WHERE id IN (SELECT id FROM session LIMIT 2)""",
    )
    async with database.connect() as connection:
        assert await end_all_sessions(connection, USER) == 3
        assert await ids(connection, 5) == []


async def test_ending_all_sessions_of_a_user_forgets_all_devices_of_that_user(
    database: Database, database_url: str
) -> None:
    """As operators do, and as setting a password does."""
    add_sessions(database_url)
    execute(database_url, 'INSERT INTO "user" (id) VALUES ($1)', OTHER)
    for user_id in (USER, OTHER):
        execute(database_url, "INSERT INTO device (hash, user_id) VALUES ('a', $1)", user_id)
    async with database.connect() as connection:
        assert await end_all_sessions(connection, USER) == 5
    assert fetch_value(database_url, "SELECT user_id FROM device") == OTHER
