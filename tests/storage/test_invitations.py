"""Pages of invitations."""

from __future__ import annotations

import asyncio

from service.storage.admin.invitations import list_invitations
from service.storage.database import Database
from tests.databases import execute

# Two of each day, and the ids of those of one day are in their order.
ADD = """
INSERT INTO invitation (id, secret_hash, created_at, expires_at)
SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, '',
       timestamptz '2026-01-01 00:00+00' + n / 2 * interval '1 day', 'infinity'
FROM generate_series(2, 7) AS n
"""


async def test_pages_of_invitations_follow_each_other_from_the_newest_on(
    database_url: str, database: Database
) -> None:
    await asyncio.to_thread(execute, database_url, ADD)
    async with database.connect() as connection:
        first = await list_invitations(connection, 4, None)
        second = await list_invitations(connection, 4, (first[-1].created_at, first[-1].id))
        last = second[-1].created_at, second[-1].id
        assert await list_invitations(connection, 4, last) == []
    assert [each.id.int for each in (*first, *second)] == [7, 6, 5, 4, 3, 2]
    assert len(first) == 4
