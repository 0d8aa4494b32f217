"""Lists of sessions, as far as only the database shows them."""

from __future__ import annotations

from uuid import UUID

from service.storage.database import Database
from service.storage.sessions import list_sessions
from tests.databases import execute

ADD_SESSIONS = """
WITH u AS (INSERT INTO "user" (id) VALUES ($1) RETURNING id)
INSERT INTO session (id, secret_hash, user_id, active_expires_at, idle_expires_at,
                     absolute_expires_at)
SELECT gen_random_uuid(), '', u.id, now(), now() + interval '1 hour', now()
FROM u, generate_series(1, 5)
"""


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
