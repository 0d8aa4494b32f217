"""The order of signing keys, which of them sign, and which a change affects."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.programs.key_rotation import delete_old_signing_keys
from service.storage.database import Database
from service.storage.programs.signing_key_lookups import find_signing
from service.storage.programs.signing_keys import (
    SIGNING_KEY_LOCK,
    does_a_key_sign,
    find_next,
    find_published,
    list_signing_keys,
    retire,
    revoke_all,
    revoke_next,
)
from tests.databases import execute, fetch, held, wait_for_lock_waiters

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


LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SOON = datetime(2100, 1, 1, tzinfo=UTC)
ADD_SESSION = """
WITH added AS (INSERT INTO "user" (id) VALUES (gen_random_uuid()) RETURNING id)
INSERT INTO session (id, secret_hash, user_id, active_expires_at, idle_expires_at,
                     absolute_expires_at)
SELECT $1, '', id, $2, $2, $2 FROM added
"""


async def test_a_session_has_to_live_for_a_token(database_url: str, database: Database) -> None:
    """Whatever others there are."""
    expired, live, none = uuid4(), uuid4(), uuid4()
    for session_id, until in ((expired, LONG_AGO), (live, SOON)):
        await asyncio.to_thread(execute, database_url, ADD_SESSION, session_id, until)

    async def is_live(session_id: UUID) -> bool:
        async with database.direct() as connection:
            return (await find_signing(connection, session_id)).is_live

    assert [await is_live(each) for each in (expired, live, none)] == [False, True, False]


async def test_of_several_keys_the_one_that_signs_since_last_signs(
    database_url: str, database: Database
) -> None:
    for times in (
        (LONG_AGO, None, None),
        (NOON, None, None),
        (NOON + HOUR, None, NOON + HOUR),
        (SOON, None, None),
    ):
        await asyncio.to_thread(execute, database_url, ADD_WITH_SECRET, *times)
    async with database.direct() as connection:
        signing = await find_signing(connection, uuid4())
    assert signing.signer is not None
    ((key_id,),) = await asyncio.to_thread(
        fetch, database_url, "SELECT id FROM signing_key WHERE signs_from = $1", NOON
    )
    assert signing.signer.key_id == key_id


async def test_a_change_affects_the_keys_that_it_is_about(
    database_url: str, database: Database
) -> None:
    """The hour from which a key signs identifies it. All other keys stay unchanged."""
    signing, next_one, former, revoked = -2, 2, -4, -3
    for hour, until, revoked_at in (
        (signing, None, None),
        (next_one, None, None),
        (former, -3, None),
        (revoked, None, NOON),
    ):
        ends = None if until is None else NOON + until * HOUR
        times = (NOON + hour * HOUR, ends, revoked_at)
        await asyncio.to_thread(execute, database_url, ADD_WITH_SECRET, *times)
    async with database.transaction() as connection:
        await retire(connection, NOON)
        ended = await hours_with(connection, "signs_until = '2026-01-01 12:00+00'")
        await revoke_next(connection, NOON)
        without_next = await hours_with(connection, "revoked_at > '2026-01-01 12:00+00'")
        assert await revoke_all(connection) == 2
        all_revoked = await hours_with(connection, "revoked_at > '2026-01-01 12:00+00'")
    assert (ended, without_next, all_revoked) == (
        [signing],
        [next_one],
        [former, signing, next_one],
    )


async def hours_with(connection: AsyncConnection, condition: str) -> list[int]:
    """Return from which hours on keys sign that fulfil a condition, counted from noon."""
    found = await connection.execute(
        text(f"SELECT signs_from FROM signing_key WHERE {condition} ORDER BY 1")
    )
    return [(row.signs_from - NOON) // HOUR for row in found]


async def test_the_cleanup_waits_for_a_change_of_the_keys(
    database_url: str, database: Database
) -> None:
    with held(database_url, f"SELECT pg_advisory_xact_lock({SIGNING_KEY_LOCK})"):
        cleaning = asyncio.ensure_future(delete_old_signing_keys(database))
        await asyncio.to_thread(wait_for_lock_waiters, database_url)
        assert not cleaning.done()
    await cleaning
