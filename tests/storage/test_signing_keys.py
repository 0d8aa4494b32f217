"""The order of signing keys, and which of them sign."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from service.storage.database import Database
from service.storage.programs.signing_keys import (
    does_a_key_sign,
    find_next,
    find_published,
    list_signing_keys,
)
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


# A key with its secret, which a revoked one no longer has unless something went wrong.
ADD_WITH_SECRET = """
WITH added AS (
    INSERT INTO sealed_secret (id, purpose, key_id, ciphertext)
    VALUES (gen_random_uuid(), 'signing_key', '', '') RETURNING id
)
INSERT INTO signing_key (id, secret_id, public_key, signs_from, signs_until, revoked_at)
SELECT gen_random_uuid(), id, '{}', $1, $2, $3 FROM added
"""
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("signs_from", "signs_until", "revoked_at", "signs", "is_next"),
    [
        (NOON, None, None, True, False),
        (NOON - HOUR, NOON + HOUR, None, True, False),
        (NOON - HOUR, NOON, None, False, False),
        (NOON + HOUR, None, None, False, True),
        (NOON - HOUR, None, NOON - HOUR, False, False),
        (NOON + HOUR, None, NOON - HOUR, False, False),
    ],
)
async def test_a_key_signs_in_its_time_unless_it_was_revoked(
    database_url: str,
    database: Database,
    *,
    signs_from: datetime,
    signs_until: datetime | None,
    revoked_at: datetime | None,
    signs: bool,
    is_next: bool,
) -> None:
    times = (signs_from, signs_until, revoked_at)
    await asyncio.to_thread(execute, database_url, ADD_WITH_SECRET, *times)
    async with database.connect() as connection:
        assert await does_a_key_sign(connection, NOON) is signs
        assert (await find_next(connection, NOON) is not None) is is_next


async def test_the_next_key_is_the_one_that_signs_first(
    database_url: str, database: Database
) -> None:
    for hours in (3, 1, 2):
        times = (NOON + hours * HOUR, None, None)
        await asyncio.to_thread(execute, database_url, ADD_WITH_SECRET, *times)
    async with database.connect() as connection:
        found = await find_next(connection, NOON)
    assert found is not None
    assert found.signs_from == NOON + HOUR
