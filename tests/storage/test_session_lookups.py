"""Lookups of sessions, in batches."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from service.settings.database import DatabaseOptions
from service.settings.values import Duration
from service.storage.errors import DatabaseUnavailable
from service.storage.session_lookups import SessionLookups
from tests.databases import (
    TERMINATE_ALL_OTHERS,
    TestServer,
    execute,
    fetch_value,
    locked,
    wait_for_lock_waiters,
    wait_until,
)
from tests.services import PATIENCE, wait_for

ADD = """
WITH u AS (INSERT INTO "user" (id) VALUES (gen_random_uuid()) RETURNING id)
INSERT INTO session (id, secret_hash, user_id, active_expires_at, idle_expires_at,
                     absolute_expires_at)
SELECT each, '', u.id, now(), now() + $2::float * interval '1 hour', now()
FROM u, unnest($1::uuid[]) AS each
"""

CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'ostiary'
"""


@pytest.mark.parametrize("pgbouncer", [False, True])
async def test_live_sessions_are_found_one_by_one_and_in_a_batch(
    database_url: str, *, pgbouncer: bool
) -> None:
    live, dead, none = ([uuid4() for _ in range(3)] for _ in range(3))
    await asyncio.to_thread(execute, database_url, ADD, live, 1)
    await asyncio.to_thread(execute, database_url, ADD, dead, -1)
    lookups = SessionLookups(database_url, DatabaseOptions(pgbouncer=pgbouncer))

    async def find(session_id: UUID) -> UUID | None:
        found = await lookups.find(session_id)
        return None if found is None else found.session.id

    everything = [*dead, *live, *none]
    assert [await find(each) for each in everything] == [None] * 3 + live + [None] * 3
    together = await asyncio.gather(*map(find, everything))
    assert together == [None] * 3 + live + [None] * 3
    await lookups.close()


async def test_through_pgbouncer_a_look_up_is_one_transaction(
    postgresql: TestServer, database_url: str
) -> None:
    postgresql.record_statements(database_url)
    lookups = SessionLookups(database_url, DatabaseOptions(pgbouncer=True))
    # On the first one asyncpg looks types up.
    await lookups.find(uuid4())
    before = len(postgresql.statements(database_url))
    await lookups.find(uuid4())
    await lookups.close()
    assert postgresql.statements(database_url)[before:] == ["BEGIN", "SELECT", "COMMIT"]


@pytest.mark.parametrize("pgbouncer", [False, True])
async def test_a_look_up_takes_no_longer_than_a_statement_may(
    database_url: str, *, pgbouncer: bool
) -> None:
    """Whether the server ends it or not."""
    patient = DatabaseOptions(pgbouncer=pgbouncer, statement_timeout=Duration(10 * PATIENCE))
    lookups = SessionLookups(database_url, patient)
    await lookups.find(uuid4())
    lookups._options = replace(patient, statement_timeout=Duration(0.01))
    with (
        locked(database_url, "session"),
        pytest.raises(DatabaseUnavailable, match="no answer in time"),
    ):
        async with asyncio.timeout(PATIENCE):
            await lookups.find(uuid4())
    await lookups.close()


async def test_a_connection_that_is_not_ready_in_time_is_given_up(database_url: str) -> None:
    """However long a statement may take: to prepare one waits for locks too."""
    patient = DatabaseOptions(
        connect_timeout=Duration(0.5), statement_timeout=Duration(10 * PATIENCE)
    )
    lookups = SessionLookups(database_url, patient)
    with locked(database_url, "session"), pytest.raises(DatabaseUnavailable):
        async with asyncio.timeout(PATIENCE):
            await lookups.find(uuid4())
    await lookups.close()


async def test_a_look_up_that_was_not_answered_in_time_is_not_sent_again(
    postgresql: TestServer, database_url: str
) -> None:
    postgresql.record_statements(database_url)
    patient = DatabaseOptions(statement_timeout=Duration(10 * PATIENCE))
    lookups = SessionLookups(database_url, patient)
    await lookups.find(uuid4())
    lookups._options = replace(patient, statement_timeout=Duration(0.01))
    before = len(postgresql.statements(database_url))
    with locked(database_url, "session"), pytest.raises(DatabaseUnavailable):
        await lookups.find(uuid4())
    await lookups.close()
    # The first statement on a new connection would be SET.
    assert "SET" not in postgresql.statements(database_url)[before:]


async def test_look_ups_share_a_connection(database_url: str) -> None:
    lookups = SessionLookups(database_url, DatabaseOptions())
    for _ in range(3):
        await lookups.find(uuid4())
    assert await asyncio.to_thread(fetch_value, database_url, CONNECTIONS) == 1
    await lookups.close()


async def test_the_connection_beside_a_stuck_one_is_closed_when_both_are_free(
    database_url: str,
) -> None:
    lookups = SessionLookups(database_url, DatabaseOptions(statement_timeout=Duration(PATIENCE)))
    await lookups.find(uuid4())
    with locked(database_url, "session"):
        both = [asyncio.create_task(lookups.find(uuid4())) for _ in range(2)]
        await asyncio.to_thread(wait_for_lock_waiters, database_url, 2)
    await asyncio.gather(*both)
    await asyncio.to_thread(wait_until, database_url, f"({CONNECTIONS}) = 1")
    assert len(lookups._open) == 1
    await lookups.close()


@pytest.mark.parametrize("is_connected", [True, False])
async def test_look_ups_under_way_when_the_service_stops_find_the_database_unavailable(
    database_url: str, *, is_connected: bool
) -> None:
    """They do not report that there is no such session."""
    lookups = SessionLookups(database_url, DatabaseOptions())
    if is_connected:
        await lookups.find(uuid4())
    with locked(database_url, "session"):
        first, second = (asyncio.create_task(lookups.find(uuid4())) for _ in range(2))
        await asyncio.to_thread(wait_for_lock_waiters, database_url)
        await lookups.close()
        with pytest.raises(DatabaseUnavailable, match="closed"):
            await first
        with pytest.raises(DatabaseUnavailable, match="the service stops"):
            await second


@pytest.mark.parametrize("is_connected", [True, False])
async def test_a_look_up_that_is_cancelled_leaves_no_connection(
    database_url: str, *, is_connected: bool
) -> None:
    lookups = SessionLookups(database_url, DatabaseOptions())
    if is_connected:
        await lookups.find(uuid4())
    with locked(database_url, "session"):
        look_up = asyncio.create_task(lookups.find(uuid4()))
        await asyncio.to_thread(wait_for_lock_waiters, database_url)
        look_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await look_up
    assert await lookups.find(uuid4()) is None
    await asyncio.to_thread(wait_until, database_url, f"({CONNECTIONS}) = 1")
    await lookups.close()


async def test_nothing_is_kept_of_a_connection_that_the_server_has_closed(
    database_url: str,
) -> None:
    lookups = SessionLookups(database_url, DatabaseOptions())
    await lookups.find(uuid4())
    (idle,) = lookups._open
    await asyncio.to_thread(execute, database_url, TERMINATE_ALL_OTHERS)
    await asyncio.to_thread(wait_for, idle.is_closed, "the service knows that it is closed")
    assert await lookups.find(uuid4()) is None
    assert len(lookups._open - {idle}) == len(lookups._open) == 1
    await lookups.close()
