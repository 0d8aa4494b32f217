"""The statement of a log-in finds the key, and the name that its user is shown by."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from service.model.users import Key
from service.storage.database import Database
from service.storage.log_in_attempts import attempt_log_in
from tests.storage.test_rate_limits import login_buckets

# A user with two names and an older address, and another user, who is older.
USERS = """
WITH made AS (INSERT INTO "user" (id) VALUES (:alice), (:bobby))
INSERT INTO key (provider, name, display_name, user_id, created_at) VALUES
    ('username', 'alicia', 'Alicia', :alice, '2026-01-03'),
    ('username', 'alice', 'Alice', :alice, '2026-01-02'),
    ('email', 'alice@example.com', 'Alice''s address', :alice, '2026-01-01'),
    ('email', 'bobby', 'Bobby''s address', :alice, '2026-01-01'),
    ('username', 'bobby', 'Bobby', :bobby, '2025-01-01')
"""
ALICE = "00000000-0000-0000-0000-00000000000a"
BOBBY = "00000000-0000-0000-0000-00000000000b"


async def find(database: Database, name: str) -> Key | None:
    """Return the key that an attempt to log in by a name finds."""
    async with database.direct() as connection:
        _, key = await attempt_log_in(
            connection,
            name,
            login_buckets(),
            device_hash=None,
            device_lifetime=60,
            reserved_for=60,
        )
    return key


@pytest.mark.parametrize(
    ("name", "user_id", "shown"),
    [("alice", ALICE, "Alice"), ("alicia", ALICE, "Alice"), ("bobby", BOBBY, "Bobby")],
)
async def test_an_attempt_finds_the_key_and_the_oldest_user_name_of_its_user(
    database: Database, name: str, user_id: str, shown: str
) -> None:
    async with database.connect() as connection:
        await connection.execute(text(USERS), {"alice": ALICE, "bobby": BOBBY})
    key = await find(database, name)
    assert key is not None
    assert (key.provider, key.name, str(key.user.id)) == ("username", name, user_id)
    assert key.user.username == shown


@pytest.mark.parametrize("name", ["alice@example.com", "unknown", ""])
async def test_an_attempt_finds_no_key_but_those_of_user_names(
    database: Database, name: str
) -> None:
    async with database.connect() as connection:
        await connection.execute(text(USERS), {"alice": ALICE, "bobby": BOBBY})
    assert await find(database, name) is None
