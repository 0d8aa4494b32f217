"""The rows of authenticator apps."""

from __future__ import annotations

import asyncio
from datetime import datetime
from uuid import uuid4

from service.storage.database import Database
from service.storage.factors import totp as storage
from tests.databases import execute, fetch_value

ADD_CONFIRMED = """
WITH added AS (INSERT INTO "user" (id) VALUES ($1) RETURNING id)
INSERT INTO totp (user_id, secret_id, confirmed_at)
SELECT id, gen_random_uuid(), now() - interval '1 day' FROM added
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
