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


async def find(database: Database, name: str | None, *, address: str | None = None) -> Key | None:
    """Return the key that an attempt to log in by a name, or an address, finds."""
    async with database.direct() as connection:
        _, key = await attempt_log_in(
            connection,
            login_buckets(),
            username=name,
            address=address,
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


@pytest.mark.parametrize(
    ("name", "address"),
    [("alice@example.com", None), (None, "bobby@example.com"), ("unknown", None), ("", None)],
)
async def test_an_attempt_finds_no_user_name_among_addresses_and_no_address_among_names(
    database: Database, name: str | None, address: str | None
) -> None:
    async with database.connect() as connection:
        await connection.execute(text(USERS), {"alice": ALICE, "bobby": BOBBY})
    assert await find(database, name, address=address) is None


@pytest.mark.parametrize(
    ("name", "user_id", "provider"), [("bobby", ALICE, "email"), ("alice", BOBBY, "username")]
)
async def test_an_attempt_finds_an_address_before_a_user_name(
    database: Database, name: str, user_id: str, provider: str
) -> None:
    """Alice has an address that is Bobby's name."""
    async with database.connect() as connection:
        await connection.execute(text(USERS), {"alice": ALICE, "bobby": BOBBY})
        if provider == "username":
            await connection.execute(text("DELETE FROM key WHERE user_id = :id"), {"id": ALICE})
            await connection.execute(
                text("UPDATE key SET name = 'alice' WHERE user_id = :id"), {"id": BOBBY}
            )
    key = await find(database, name, address=name)
    assert key is not None
    assert (key.provider, str(key.user.id)) == (provider, user_id)
