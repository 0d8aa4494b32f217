"""Known devices, as far as only the database shows them."""

from __future__ import annotations

from uuid import UUID

import pytest

from service.model.devices import DeviceHash
from service.storage.database import Database
from service.storage.devices import find_user_of_device
from tests.databases import execute

ADD_DEVICE = """
WITH u AS (INSERT INTO "user" (id) VALUES ($1) RETURNING id)
INSERT INTO device (hash, user_id) SELECT $2, id FROM u
"""
SHARED, OTHER = DeviceHash(b"shared"), DeviceHash(b"other")


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
async def test_of_the_users_of_a_device_it_is_always_the_same_who_is_found(
    database: Database, database_url: str, order: tuple[int, ...]
) -> None:
    """Or who shares a device would have the limits of several users."""
    for number in order:
        execute(database_url, ADD_DEVICE, UUID(int=number), SHARED)
    execute(database_url, ADD_DEVICE, UUID(int=0), OTHER)
    async with database.connect() as connection:
        assert await find_user_of_device(connection, SHARED) == UUID(int=1)
        assert await find_user_of_device(connection, OTHER) == UUID(int=0)
        assert await find_user_of_device(connection, DeviceHash(b"unknown")) is None
