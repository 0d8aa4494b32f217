"""Lists of sessions, as far as only the database shows them."""

from __future__ import annotations

from uuid import UUID

from service.storage.database import Database
from service.storage.sessions import end_all_sessions, list_sessions
from tests.databases import execute, fetch_value

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


async def test_ending_all_sessions_forgets_all_devices(
    database: Database, database_url: str
) -> None:
    """As operators do, and as setting a password does."""
    user_id = UUID(int=1)
    execute(database_url, ADD_SESSIONS, user_id)
    execute(database_url, "INSERT INTO device (hash, user_id) VALUES ('a', $1)", user_id)
    async with database.connect() as connection:
        assert await end_all_sessions(connection, user_id) == 5
    assert fetch_value(database_url, "SELECT count(*) FROM device") == 0
