"""The rows of authenticator apps."""

from __future__ import annotations

import asyncio
from datetime import datetime
from uuid import uuid4

import pytest
from sqlalchemy import text

from service.storage.database import Database
from service.storage.factors import totp as storage
from tests.databases import execute, fetch_value
from tests.services import PATIENCE

ADD_CONFIRMED = """
WITH added AS (INSERT INTO "user" (id) VALUES ($1) RETURNING id)
INSERT INTO totp (user_id, secret_id, confirmed_at)
SELECT id, gen_random_uuid(), now() - interval '1 day' FROM added
"""
ADD_SECRET = """
INSERT INTO sealed_secret (id, user_id, purpose, key_id, ciphertext)
VALUES (gen_random_uuid(), $1, $2, '', '')
"""
ADD_FAILURE = """
INSERT INTO totp_failure (user_id, failed_at) VALUES ($1, now() - $2::int * interval '1 minute')
"""
CONFIRMED_AT = "SELECT confirmed_at FROM totp"


async def test_an_app_is_a_factor_since_its_first_confirmation(
    database_url: str, database: Database
) -> None:
    """What undoes a change removes the factors that are not older than it."""

    async def confirmed_at() -> datetime:
        found: datetime = await asyncio.to_thread(fetch_value, database_url, CONFIRMED_AT)
        return found

    user_id = uuid4()
    await asyncio.to_thread(execute, database_url, ADD_CONFIRMED, user_id)
    before = await confirmed_at()
    async with database.transaction() as connection:
        await storage.confirm_totp(connection, user_id)
    assert await confirmed_at() == before


async def test_an_app_that_is_not_confirmed_is_not_removed_as_a_factor(
    database_url: str, database: Database
) -> None:
    user_id = uuid4()
    await asyncio.to_thread(execute, database_url, ADD_CONFIRMED, user_id)
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE totp SET confirmed_at = NULL"))
        assert not await storage.remove_totp(connection, user_id)
        await connection.execute(text("UPDATE totp SET confirmed_at = now()"))
        assert await storage.remove_totp(connection, user_id)


async def test_secrets_for_another_purpose_stay(database_url: str, database: Database) -> None:
    user_id = uuid4()
    await asyncio.to_thread(execute, database_url, ADD_CONFIRMED, user_id)
    for purpose in ("totp_secret", "another"):
        await asyncio.to_thread(execute, database_url, ADD_SECRET, user_id, purpose)
    async with database.transaction() as connection:
        await storage.remove_secrets(connection, user_id, "totp_secret")
    left = await asyncio.to_thread(fetch_value, database_url, "SELECT purpose FROM sealed_secret")
    assert left == "another"


@pytest.mark.parametrize(
    ("minutes", "waits"),
    [([50, 20, 5], 40), ([70, 5], 0), ([70, 65, 61], 0), ([5], 0), ([9, 8], 51)],
)
async def test_after_two_failures_within_an_hour_no_code_is_checked(
    database_url: str, database: Database, minutes: list[int], waits: int
) -> None:
    """The wait ends when the second last failure is an hour ago."""
    user_id = uuid4()
    await asyncio.to_thread(execute, database_url, ADD_CONFIRMED, user_id)
    for ago in minutes:
        await asyncio.to_thread(execute, database_url, ADD_FAILURE, user_id, ago)
    async with database.connect() as connection:
        seconds = await storage.seconds_to_wait(connection, user_id, None, failures=2, period=3600)
    assert seconds == pytest.approx(60 * waits, abs=PATIENCE / 2)
