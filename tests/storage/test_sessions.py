"""Sessions, as far as only the database shows them."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from service.model.sessions import Method
from service.storage.database import Database
from service.storage.sessions import (
    add_factor_method,
    list_sessions,
    lock_session,
    was_proven_within,
)
from tests.databases import execute, fetch_value
from tests.storage.conftest import add_reference

ADD_SESSIONS = """
WITH u AS (INSERT INTO "user" (id) VALUES ($1) RETURNING id)
INSERT INTO session (id, secret_hash, user_id, active_expires_at, idle_expires_at,
                     absolute_expires_at)
SELECT gen_random_uuid(), '', u.id, now(), now() + interval '1 hour', now()
FROM u, generate_series(1, 5)
"""


def add_sessions(database_url: str, hours: int = 1) -> UUID:
    """Add sessions of one user that expire in so many hours, and return the id of one of them."""
    execute(database_url, ADD_SESSIONS, UUID(int=1))
    execute(database_url, "UPDATE session SET idle_expires_at = now() + $1", timedelta(hours=hours))
    session_id: UUID = fetch_value(database_url, "SELECT id FROM session LIMIT 1")
    return session_id


async def test_no_more_sessions_are_read_than_were_asked_for(
    database: Database, database_url: str
) -> None:
    user_id = UUID(int=1)
    execute(database_url, ADD_SESSIONS, user_id)
    async with database.connect() as connection:
        assert len(await list_sessions(connection, user_id, 3)) == 3


async def test_a_page_begins_after_the_last_session_of_the_page_before(
    database: Database, database_url: str
) -> None:
    user_id = UUID(int=1)
    execute(database_url, ADD_SESSIONS, user_id)
    async with database.connect() as connection:
        everything = [each.session for each in await list_sessions(connection, user_id, 5)]
        last = everything[2]
        rest = await list_sessions(connection, user_id, 5, (last.created_at, last.id))
    assert [each.session for each in rest] == everything[3:]


@pytest.mark.parametrize(("hours", "is_live"), [(1, True), (0, False)])
async def test_only_a_session_that_is_live_is_locked_or_gets_a_factor(
    database: Database, database_url: str, hours: int, is_live: bool
) -> None:
    session_id = add_sessions(database_url, hours)
    async with database.transaction() as connection:
        assert (await lock_session(connection, session_id) is not None) is is_live
        assert await add_factor_method(connection, session_id, Method.TOTP) is is_live


async def test_what_refers_to_the_user_of_a_session_that_is_locked_can_be_added(
    database: Database, database_url: str
) -> None:
    """A foreign key locks the user, too: those who wait for it could wait in a circle."""
    session_id = add_sessions(database_url)
    async with database.transaction() as connection:
        await lock_session(connection, session_id)
        await add_reference(database_url, UUID(int=1))


@pytest.mark.parametrize(("hours", "was_proven"), [(1, True), (0, None)])
async def test_only_of_a_session_that_is_live_is_known_whether_it_was_proven_lately(
    database: Database, database_url: str, hours: int, was_proven: bool | None
) -> None:
    session_id = add_sessions(database_url, hours)
    async with database.connect() as connection:
        assert await was_proven_within(connection, session_id, 60) is was_proven
