from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.databases import execute


def add_user(database_url: str) -> UUID:
    """Add a user without any name."""
    user_id = uuid4()
    execute(database_url, 'INSERT INTO "user" (id) VALUES ($1)', user_id)
    return user_id


@pytest.fixture
def alice(database_url: str) -> UUID:
    return add_user(database_url)


async def add_reference(database_url: str, user_id: UUID) -> None:
    """Add a row that refers to a user. Fails if that has to wait for a lock."""
    await asyncio.to_thread(
        execute,
        database_url,
        f"""SET lock_timeout = 1;
        INSERT INTO totp_failure (user_id, failed_at) VALUES ('{user_id}', now())""",
    )


async def forbid_indexes(connection: AsyncConnection) -> None:
    """Leave PostgreSQL only plans that read whole tables: an index may happen to be in order."""
    for scan in ("indexscan", "indexonlyscan", "bitmapscan"):
        await connection.execute(text(f"SET enable_{scan} = off"))
