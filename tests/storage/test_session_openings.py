"""Openings of sessions, as far as only the database shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from msgspec.structs import replace

import service
from service.model.devices import DeviceHash
from service.model.request_context import Device
from service.model.sessions import InsertedSession, Method, SecretHash
from service.model.users import Key, PasswordHash, User
from service.settings.sessions import SessionSettings
from service.storage.database import Database
from service.storage.direct import AnyConnection
from service.storage.rate_limits import Bucket, Charge, consume
from service.storage.session_openings import open_session
from tests.databases import execute, fetch_value, held, wait_for_lock_waiters

ALICE, BOBBY = UUID(int=1), UUID(int=2)
CURRENT, OLD = PasswordHash("current", "scheme"), PasswordHash("old", "scheme")

# Bobby's keys have either the name of Alice's, at another provider, or the same provider; and the
# same hash.
ADD_KEYS = """
WITH u AS (INSERT INTO "user" (id) VALUES ($1), ($2))
INSERT INTO key (provider, name, user_id, display_name, password_hash, password_scheme)
VALUES ('username', 'alice', $1, 'Alice', 'current', 'scheme'),
       ('email', 'alice', $2, 'Alice', 'current', 'scheme'),
       ('username', 'bobby', $2, 'Bobby', 'current', 'scheme')
"""
ADD_SESSIONS = """
INSERT INTO session (id, secret_hash, user_id, active_expires_at, idle_expires_at,
                     absolute_expires_at)
SELECT gen_random_uuid(), 'secret', $1, now(), now() + make_interval(hours => $2), now()
FROM generate_series(1, 3)
"""


@pytest.fixture(autouse=True)
def keys(database_url: str) -> None:
    execute(database_url, ADD_KEYS, ALICE, BOBBY)


async def log_in(
    connection: AnyConnection,
    password_hash: PasswordHash = CURRENT,
    *,
    security_version: int = 0,
    max_counted: int = 0,
    settles: Sequence[Charge] = (),
) -> InsertedSession | None:
    """Open a session for Alice."""
    user = User(
        id=ALICE,
        username="Alice",
        email=None,
        email_verified_at=None,
        created_at=datetime.now(UTC),
    )
    return await open_session(
        connection,
        session_id=UUID(int=3),
        secret_hash=SecretHash(b"secret"),
        key=Key(
            provider="username",
            name="alice",
            user=user,
            security_version=security_version,
            password_hash=password_hash,
        ),
        method=Method.PASSWORD,
        device=Device(),
        settings=SessionSettings(),
        presented_device=None,
        new_device=DeviceHash(b"device"),
        max_counted=max_counted,
        settles=settles,
    )


async def test_a_session_is_opened_for_the_one_key_that_was_proven(database: Database) -> None:
    """Others have its name or its hash, which an import may bring."""
    async with database.direct() as connection:
        opened = await log_in(connection)
    assert opened is not None
    assert opened.session.user_id == ALICE
    assert opened.replaced == []


async def test_earlier_sessions_are_counted_if_they_are_live_and_the_users(
    database: Database, database_url: str
) -> None:
    for user_id, hours in ((ALICE, 1), (ALICE, -1), (BOBBY, 1)):
        execute(database_url, ADD_SESSIONS, user_id, hours)
    async with database.direct() as connection:
        opened = await log_in(connection, max_counted=100)
    assert opened is not None
    assert opened.earlier == 3


async def test_no_more_earlier_sessions_are_counted_than_were_asked_for(
    database: Database, database_url: str
) -> None:
    execute(database_url, ADD_SESSIONS, ALICE, 1)
    async with database.direct() as connection:
        opened = await log_in(connection, max_counted=2)
    assert opened is not None
    assert opened.earlier == 2


async def test_an_attempt_is_refunded_only_if_the_session_opens(
    database: Database, database_url: str
) -> None:
    """It does not if the password was changed while the old one was verified."""
    bucket = Bucket(id=b"bucket", emission_interval=3600, burst_tolerance=0)
    left = "SELECT tat <= now() FROM rate_limit"
    async with database.connect() as connection:
        consumed = await consume(connection, [bucket], reserved_for=60)
        refunds = [replace(each, refunded=each.consumed) for each in consumed.charges]
        for password_hash, opens in ((OLD, False), (CURRENT, True)):
            opened = await log_in(connection, password_hash, settles=refunds)
            assert (opened is not None) == opens
            assert fetch_value(database_url, left) == opens
            devices = fetch_value(database_url, "SELECT count(*) FROM device")
            assert devices == int(opens)


async def test_no_session_opens_by_a_proof_of_before_a_change_of_what_protects_the_user(
    database: Database, database_url: str
) -> None:
    execute(database_url, 'UPDATE "user" SET security_version = 1 WHERE id = $1', ALICE)
    async with database.direct() as connection:
        assert await log_in(connection) is None
        assert await log_in(connection, security_version=1) is not None


async def test_a_change_of_what_protects_the_user_is_waited_for(
    database: Database, database_url: str
) -> None:
    change = f"""UPDATE "user" SET security_version = 1 WHERE id = '{ALICE}'"""
    async with database.direct() as connection:
        with held(database_url, change, end="COMMIT"):
            opening = asyncio.create_task(log_in(connection))
            await asyncio.to_thread(wait_for_lock_waiters, database_url)
        assert await opening is None


def test_one_statement_opens_sessions() -> None:
    """But for those that are imported, with their tokens, from Lucia."""
    files = (Path(service.__file__).parent).rglob("*.py")
    opening = {path.name for path in files if "insert(session)" in path.read_text()}
    assert opening == {"session_openings.py"}
