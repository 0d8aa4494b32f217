from __future__ import annotations

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


async def forbid_indexes(connection: AsyncConnection) -> None:
    """Leave PostgreSQL only plans that read whole tables: an index may happen to be in order."""
    for scan in ("indexscan", "indexonlyscan", "bitmapscan"):
        await connection.execute(text(f"SET enable_{scan} = off"))
