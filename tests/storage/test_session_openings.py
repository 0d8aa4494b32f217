"""Openings of sessions, as far as only the database shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from msgspec.structs import replace

import service
from service.model.devices import DeviceHash
from service.model.proofs import Proof
from service.model.request_context import Device
from service.model.sessions import FACTOR_METHODS, InsertedSession, Method, SecretHash
from service.model.users import Key, PasswordHash, User
from service.settings.sessions import SessionSettings
from service.storage.database import Database
from service.storage.direct import AnyConnection
from service.storage.rate_limits import Bucket, Charge, consume
from service.storage.session_openings import is_refused_as_disabled, open_session
from service.storage.sessions import prove_again
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
    method: Method = Method.PASSWORD,
    by_password: bool = True,
    proven_at: datetime | None = None,
    max_counted: int = 0,
    settles: Sequence[Charge] = (),
) -> InsertedSession | None:
    """Open a session for Alice."""
    return await open_session(
        connection,
        session_id=UUID(int=3),
        secret_hash=SecretHash(b"secret"),
        proof=proof(
            password_hash if by_password else None,
            security_version=security_version,
            method=method,
            proven_at=proven_at,
        ),
        device=Device(),
        settings=SessionSettings(),
        presented_device=None,
        new_device=DeviceHash(b"device"),
        max_counted=max_counted,
        settles=settles,
    )


def proof(
    password_hash: PasswordHash | None = CURRENT,
    *,
    security_version: int = 0,
    method: Method = Method.PASSWORD,
    proven_at: datetime | None = None,
) -> Proof:
    """Return a proof of Alice, by her key if there is a hash."""
    user = User(
        id=ALICE,
        username="Alice",
        email=None,
        email_verified_at=None,
        created_at=datetime.now(UTC),
    )
    key = Key(
        provider="username",
        name="alice",
        user=user,
        security_version=security_version,
        has_factor=False,
        password_hash=password_hash,
    )
    return Proof(
        user=user,
        security_version=security_version,
        method=method,
        key=None if password_hash is None else key,
        proven_at=proven_at,
    )


async def test_a_session_is_opened_for_the_one_key_that_was_proven(database: Database) -> None:
    """Others have its name or its hash, which an import may bring."""
    async with database.direct() as connection:
        opened = await log_in(connection)
    assert opened is not None
    assert opened.session.user_id == ALICE
    assert opened.replaced == []


FACTORS = {
    "app": "INSERT INTO totp (user_id, secret_id, confirmed_at) VALUES ($1, $1, now())",
    "passkey": """
        INSERT INTO passkey (id, user_id, credential_id, public_key, sign_count, rp_id, name,
                             is_backup_eligible, is_backed_up)
        VALUES ($1, $1, 'id', 'key', 0, 'another.example', '', false, false)
    """,
}
PENDING_APP = "INSERT INTO totp (user_id, secret_id) VALUES ($1, $1)"
NO_FACTORS = [each for each in Method if each not in FACTOR_METHODS]


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("by_password", [True, False])
@pytest.mark.parametrize("method", NO_FACTORS)
async def test_whoever_has_a_factor_has_no_session_without_one(
    database: Database, database_url: str, factor: str, by_password: bool, method: Method
) -> None:
    execute(database_url, FACTORS[factor], ALICE)
    async with database.direct() as connection:
        assert await log_in(connection, method=method, by_password=by_password) is None
    assert fetch_value(database_url, "SELECT count(*) FROM session") == 0


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("by_password", [True, False])
@pytest.mark.parametrize("method", sorted(FACTOR_METHODS))
async def test_a_factor_opens_the_session_of_its_user(
    database: Database, database_url: str, factor: str, by_password: bool, method: Method
) -> None:
    execute(database_url, FACTORS[factor], ALICE)
    async with database.direct() as connection:
        opened = await log_in(connection, method=method, by_password=by_password)
    assert opened is not None
    assert opened.session.user_id == ALICE


async def test_a_factor_of_another_user_and_an_app_that_waits_are_none(
    database: Database, database_url: str
) -> None:
    for statement in FACTORS.values():
        execute(database_url, statement, BOBBY)
    execute(database_url, PENDING_APP, ALICE)
    async with database.direct() as connection:
        assert await log_in(connection) is not None


@pytest.mark.parametrize("by_password", [True, False])
async def test_no_proof_of_before_a_change_opens_a_session(
    database: Database, by_password: bool
) -> None:
    async with database.direct() as connection:
        assert await log_in(connection, security_version=1, by_password=by_password) is None


async def test_a_proof_without_a_password_needs_no_key(
    database: Database, database_url: str
) -> None:
    execute(database_url, "DELETE FROM key")
    async with database.direct() as connection:
        assert await log_in(connection, method=Method.PASSKEY, by_password=False) is not None
        assert await log_in(connection, by_password=True) is None


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


async def test_a_proof_is_never_later_than_now(database: Database) -> None:
    """The clock of a provider, or of the host, may be ahead of the database's."""
    later = datetime.now(UTC) + timedelta(hours=1)
    async with database.transaction() as connection:
        opened = await log_in(connection, proven_at=later)
        assert opened is not None
        assert opened.session.authenticated_at == opened.session.created_at
        session_id, secret = opened.session.id, SecretHash(b"other")
        proven = await prove_again(connection, session_id, secret, Method.TOTP, later)
        assert proven is not None
        assert proven[0].authenticated_at == proven[1]


async def test_a_proof_counts_from_its_time(database: Database) -> None:
    earlier = datetime.now(UTC) - timedelta(hours=1)
    async with database.transaction() as connection:
        opened = await log_in(connection, proven_at=earlier)
        assert opened is not None
        assert opened.session.authenticated_at == earlier
        session_id, secret = opened.session.id, SecretHash(b"other")
        proven = await prove_again(connection, session_id, secret, Method.TOTP, earlier)
        assert proven is not None
        assert proven[0].authenticated_at == earlier


DISABLE = 'UPDATE "user" SET disabled_at = now() WHERE id = $1'


@pytest.mark.parametrize("disabled", [ALICE, BOBBY])
async def test_only_a_disabled_user_is_refused_as_disabled(
    database: Database, database_url: str, disabled: UUID
) -> None:
    execute(database_url, DISABLE, disabled)
    async with database.direct() as connection:
        assert await is_refused_as_disabled(connection, proof()) is (disabled == ALICE)


@pytest.mark.parametrize("factor", FACTORS)
async def test_that_a_user_is_disabled_is_told_after_the_second_factor_only(
    database: Database, database_url: str, factor: str
) -> None:
    execute(database_url, DISABLE, ALICE)
    execute(database_url, FACTORS[factor], ALICE)
    async with database.direct() as connection:
        assert not await is_refused_as_disabled(connection, proof())
        assert await is_refused_as_disabled(connection, proof(method=Method.TOTP))


def test_one_statement_opens_sessions() -> None:
    """But for those that are imported, with their tokens, from Lucia."""
    files = (Path(service.__file__).parent).rglob("*.py")
    opening = {path.name for path in files if "insert(session)" in path.read_text()}
    assert opening == {"session_openings.py"}
