"""The order of signing keys."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from service.storage.database import Database
from service.storage.programs.signing_keys import find_published, list_signing_keys
from tests.databases import execute

# Keys 1 and 2 sign from the same moment on, key 0 later; in the table they are in another order.
ADD = """
INSERT INTO signing_key (id, secret_id, public_key, signs_from)
SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, gen_random_uuid(), '{}',
       timestamptz '2026-01-01 00:00+00' + (n = 0)::int * interval '1 hour'
FROM unnest(ARRAY[0, 2, 1]) AS n
"""


async def test_signing_keys_are_in_the_order_in_which_they_sign_then_of_their_ids(
    database_url: str, database: Database
) -> None:
    await asyncio.to_thread(execute, database_url, ADD)
    async with database.connect() as connection:
        listed = await list_signing_keys(connection)
        published = await find_published(connection, timedelta())
    assert [key.id.int for key in listed] == [key.id.int for key in published] == [1, 2, 0]
