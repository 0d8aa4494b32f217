"""What has expired is deleted in batches, and nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth import cleanup, outbox
from service.auth.cleanup import clean_up
from service.storage.admin.invitations import delete_expired_invitations
from service.storage.challenges import delete_expired_challenges
from service.storage.claimed_nonces import delete_expired_nonces
from service.storage.cleanup import delete_expired_rate_limits
from service.storage.database import Database
from service.storage.factors.totp import delete_old_failures
from service.storage.mail import delete_dead_letters
from service.storage.restores import delete_older
from service.storage.tables import invitation
from tests.databases import execute, fetch_value, held

HOUR = 3600.0

# Ten rows, of which five have expired an hour ago and five have an hour left.
NUMBERS = "generate_series(1, 10) AS n"
EXPIRY = "now() + (n % 2 - 0.5) * interval '2 hours'"
# Those that are deleted some time after they failed: five failed a year ago, five now.
SINCE = "now() - n % 2 * interval '1 year'"

INSERT = {
    "rate_limit": f"""
        INSERT INTO rate_limit (bucket, tat) SELECT sha256(int4send(n)), {EXPIRY} FROM {NUMBERS}
    """,
    "claimed_nonce": f"""
        INSERT INTO claimed_nonce (nonce, expires_at)
        SELECT sha256(int4send(n)), {EXPIRY} FROM {NUMBERS}
    """,
    "challenge": f"""
        INSERT INTO challenge (id, purpose, address, display_address, expires_at)
        SELECT gen_random_uuid(), 'sign_up', n, n, {EXPIRY} FROM {NUMBERS}
    """,
    "invitation": f"""
        INSERT INTO invitation (id, secret_hash, expires_at)
        SELECT gen_random_uuid(), '', {EXPIRY} FROM {NUMBERS}
    """,
    "mail": f"""
        INSERT INTO mail (id, kind, recipient, language, expires_at, failed_at)
        SELECT gen_random_uuid(), 'new_device', n, 'en', now(), {SINCE} FROM {NUMBERS}
    """,
    "totp_failure": f"""
        WITH added AS (INSERT INTO "user" (id) VALUES (gen_random_uuid()) RETURNING id)
        INSERT INTO totp_failure (user_id, failed_at)
        SELECT added.id, {SINCE} FROM added, {NUMBERS}
    """,
}

Delete = Callable[[AsyncConnection, int], Awaitable[int]]
DELETE: dict[str, Delete] = {
    "rate_limit": delete_expired_rate_limits,
    "claimed_nonce": delete_expired_nonces,
    "challenge": delete_expired_challenges,
    "invitation": delete_expired_invitations,
    "mail": lambda connection, rows: delete_dead_letters(connection, HOUR, rows),
    "totp_failure": lambda connection, rows: delete_old_failures(connection, HOUR, rows),
}

DeleteAll = Callable[[Database], Awaitable[None]]
DELETE_ALL: dict[str, tuple[object, str, DeleteAll]] = {
    "mail": (outbox, "DEAD_LETTERS_PER_BATCH", outbox.delete_old_dead_letters),
    "rate_limit": (cleanup, "RATE_LIMITS_PER_BATCH", cleanup.delete_expired_rate_limits),
    "claimed_nonce": (cleanup, "NONCES_PER_BATCH", cleanup.delete_expired_nonces),
    "challenge": (cleanup, "CHALLENGES_PER_BATCH", cleanup.delete_expired_challenges),
    "invitation": (cleanup, "INVITATIONS_PER_BATCH", cleanup.delete_expired_invitations),
    "totp_failure": (
        cleanup,
        "FAILURES_PER_BATCH",
        partial(cleanup.delete_old_code_failures, period=HOUR),
    ),
}


async def fill(database_url: str, table: str) -> None:
    await asyncio.to_thread(execute, database_url, INSERT[table])


async def count(database_url: str, table: str) -> int:
    number: int = await asyncio.to_thread(
        fetch_value, database_url, f"SELECT count(*) FROM {table}"
    )
    return number


@pytest.mark.parametrize("table", DELETE)
async def test_a_batch_is_no_larger_than_its_maximum_and_has_what_expired(
    database_url: str, database: Database, table: str
) -> None:
    await fill(database_url, table)
    async with database.transaction() as connection:
        assert [await DELETE[table](connection, 3) for _ in range(3)] == [3, 2, 0]
    assert await count(database_url, table) == 5


@pytest.mark.parametrize("table", ["challenge", "mail", "rate_limit"])
async def test_rows_in_use_are_left_for_the_next_time(
    database_url: str, database: Database, table: str
) -> None:
    await fill(database_url, table)
    with held(database_url, f"SELECT FROM {table} FOR UPDATE"):
        async with database.transaction() as connection:
            assert await DELETE[table](connection, 10) == 0
    async with database.transaction() as connection:
        assert await DELETE[table](connection, 10) == 5


async def test_a_batch_of_what_a_backup_revived_is_no_larger_than_its_maximum(
    database_url: str, database: Database
) -> None:
    await fill(database_url, "invitation")
    later = datetime.now(UTC) + timedelta(hours=1)
    async with database.transaction() as connection:
        deleted = [await delete_older(connection, invitation, later, 4) for _ in range(4)]
    assert deleted == [4, 4, 2, 0]


@pytest.mark.parametrize("table", DELETE_ALL)
async def test_batches_follow_each_other_until_nothing_that_expired_is_left(
    database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    module, name, delete = DELETE_ALL[table]
    monkeypatch.setattr(module, name, 2)
    await fill(database_url, table)
    await delete(database)
    assert await count(database_url, table) == 5


# Of these the cleanup deletes five, too, though not in batches of rows.
OTHERS = {
    "username_hold": f"""
        INSERT INTO username_hold (name_hash, freed_at)
        SELECT sha256(int4send(n)), {SINCE} FROM {NUMBERS}
    """,
    "device": f"""
        WITH added AS (INSERT INTO "user" (id) VALUES (gen_random_uuid()) RETURNING id)
        INSERT INTO device (hash, user_id, last_seen)
        SELECT sha256(int4send(n)), added.id, {SINCE} FROM added, {NUMBERS}
    """,
    "signing_key": f"""
        INSERT INTO signing_key (id, secret_id, public_key, signs_from, signs_until)
        SELECT gen_random_uuid(), gen_random_uuid(), '{{}}', {SINCE}, {SINCE} FROM {NUMBERS}
    """,
}


async def test_the_cleanup_deletes_what_has_expired_of_each_table(
    database_url: str, database: Database
) -> None:
    for statement in (*INSERT.values(), *OTHERS.values()):
        await asyncio.to_thread(execute, database_url, statement)
    await clean_up(database, device_lifetime=HOUR, username_hold=HOUR, code_failure_period=HOUR)
    left = {table: await count(database_url, table) for table in (*INSERT, *OTHERS)}
    assert left == dict.fromkeys((*INSERT, *OTHERS), 5)
