"""Lookups of sessions, in batches."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

from service.settings.database import DatabaseOptions
from service.storage.session_lookups import SessionLookups
from tests.databases import execute

ADD = """
WITH u AS (INSERT INTO "user" (id) VALUES (gen_random_uuid()) RETURNING id)
INSERT INTO session (id, secret_hash, user_id, active_expires_at, idle_expires_at,
                     absolute_expires_at)
SELECT each, '', u.id, now(), now() + $2::float * interval '1 hour', now()
FROM u, unnest($1::uuid[]) AS each
"""


async def test_live_sessions_are_found_one_by_one_and_in_a_batch(
    database_url: str,
) -> None:
    live, dead, none = ([uuid4() for _ in range(3)] for _ in range(3))
    await asyncio.to_thread(execute, database_url, ADD, live, 1)
    await asyncio.to_thread(execute, database_url, ADD, dead, -1)
    lookups = SessionLookups(database_url, DatabaseOptions())

    async def find(session_id: UUID) -> UUID | None:
        found = await lookups.find(session_id)
        return None if found is None else found.session.id

    everything = [*dead, *live, *none]
    assert [await find(each) for each in everything] == [None] * 3 + live + [None] * 3
    together = await asyncio.gather(*map(find, everything))
    assert together == [None] * 3 + live + [None] * 3
    await lookups.close()
