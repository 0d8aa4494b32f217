"""Lists of sessions, as far as only the database shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from msgspec.structs import replace

from service.model.devices import DeviceHash
from service.model.request_context import Device
from service.model.sessions import SecretHash
from service.model.users import Key, PasswordHash, User
from service.settings.sessions import SessionSettings
from service.storage.database import Database
from service.storage.rate_limits import Bucket, consume
from service.storage.session_endings import end_all_sessions
from service.storage.session_openings import open_session
from service.storage.sessions import list_sessions
from tests.databases import execute, fetch_value

ADD_SESSIONS = """
WITH u AS (INSERT INTO "user" (id) VALUES ($1) RETURNING id)
INSERT INTO session (id, secret_hash, user_id, active_expires_at, idle_expires_at,
                     absolute_expires_at)
SELECT gen_random_uuid(), '', u.id, now(), now() + interval '1 hour', now()
FROM u, generate_series(1, 5)
"""


async def test_no_more_sessions_are_read_than_were_asked_for(
    database: Database, database_url: str
) -> None:
    user_id = UUID(int=1)
    execute(database_url, ADD_SESSIONS, user_id)
    async with database.connect() as connection:
        assert len(await list_sessions(connection, user_id, 3)) == 3


async def test_ending_all_sessions_counts_only_live_ones(
    database: Database, database_url: str
) -> None:
    user_id = UUID(int=1)
    execute(database_url, ADD_SESSIONS, user_id)
    execute(
        database_url,
        """UPDATE session SET idle_expires_at = now()
           WHERE id IN (SELECT id FROM session LIMIT 2)""",
    )
    async with database.connect() as connection:
        assert await end_all_sessions(connection, user_id) == 3
        assert await list_sessions(connection, user_id, 3) == []


async def test_ending_all_sessions_forgets_all_devices(
    database: Database, database_url: str
) -> None:
    """As operators do, and as setting a password does."""
    user_id = UUID(int=1)
    execute(database_url, ADD_SESSIONS, user_id)
    execute(database_url, "INSERT INTO device (hash, user_id) VALUES ('a', $1)", user_id)
    async with database.connect() as connection:
        assert await end_all_sessions(connection, user_id) == 5
    assert fetch_value(database_url, "SELECT count(*) FROM device") == 0


async def test_an_attempt_is_refunded_only_if_the_session_opens(
    database: Database, database_url: str
) -> None:
    """It does not if the password was changed while the old one was verified."""
    user_id, old = UUID(int=1), PasswordHash("old", "scheme")
    execute(
        database_url,
        """WITH u AS (INSERT INTO "user" (id) VALUES ($1) RETURNING id)
           INSERT INTO key (provider, name, user_id, display_name, password_hash, password_scheme)
           SELECT 'username', 'alice', id, 'Alice', 'new', 'scheme' FROM u""",
        user_id,
    )
    user = User(
        id=user_id,
        username="Alice",
        email=None,
        email_verified_at=None,
        created_at=datetime.now(UTC),
    )
    bucket = Bucket(id=b"bucket", emission_interval=3600, burst_tolerance=0)
    left = "SELECT tat <= now() FROM rate_limit"
    async with database.connect() as connection:
        consumed = await consume(connection, [bucket], reserved_for=60)
        for password_hash, opens in ((old, False), (PasswordHash("new", "scheme"), True)):
            key = Key(provider="username", name="alice", user=user, password_hash=password_hash)
            opened = await open_session(
                connection,
                session_id=UUID(int=2),
                secret_hash=SecretHash(b"secret"),
                key=key,
                device=Device(),
                settings=SessionSettings(),
                presented_device=None,
                new_device=DeviceHash(b"device"),
                settles=[replace(each, refunded=each.consumed) for each in consumed.charges],
            )
            assert (opened is not None) == opens
            assert fetch_value(database_url, left) == opens
            devices = fetch_value(database_url, "SELECT count(*) FROM device")
            assert devices == int(opens)
