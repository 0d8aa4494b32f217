"""Refusals take equally long; `benchmarks` measure how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.auth import uniform_timing as module
from service.auth.accounts import Accounts, add_user
from service.auth.errors import AuthError, InvalidCredentials, Overloaded, RateLimited
from service.auth.hashing.hasher import Hasher
from service.auth.hashing.program import argon2_hasher
from service.auth.hashing.schemes import parse_password_hash
from service.auth.passwords import Password, PasswordPolicy
from service.auth.rate_limits import RateLimiter
from service.auth.sessions import Sessions
from service.auth.uniform_timing import measure_verify_times, uniform_timing
from service.auth.usernames import ClaimedUsername, Username
from service.model.request_context import RequestContext
from service.model.users import PasswordHash
from service.settings.database import DatabaseOptions
from service.settings.passwords import Argon2Cost
from service.settings.rate_limits import RateLimitSettings
from service.settings.sessions import SessionSettings
from service.settings.values import Rate
from service.storage.database import Database
from service.storage.session_lookups import SessionLookups
from tests.auth.test_legacy_hashes import FOREIGN, OSLO_ARGON2ID, lucia_v1
from tests.databases import execute
from tests.factories import REMOVE_PASSWORDS
from tests.services import PATIENCE

CHEAP = Argon2Cost(time_cost=1, memory_kib=64)
RIGHT = PasswordPolicy().accept("correct horse battery staple")
WRONG = Password("incorrect horse")
HASHES = [
    *(password_hash for _, password_hash in (*FOREIGN, *OSLO_ARGON2ID)),
    lucia_v1("another", salt="b" * 16),
    argon2_hasher(CHEAP).hash("a"),
    argon2_hasher(CHEAP).hash("b"),
]


@pytest.fixture
async def hasher() -> AsyncIterator[Hasher]:
    hasher = Hasher(CHEAP, processes=1, queue_length=1, timeout=PATIENCE)
    yield hasher
    await hasher.close()


@pytest.fixture
async def accounts(database_url: str, database: Database, hasher: Hasher) -> Accounts:
    """Return accounts, of which Alice's exists; each name has one attempt."""
    lookups = SessionLookups(database_url, DatabaseOptions())
    sessions = Sessions(database, lookups, SessionSettings())
    limits = RateLimitSettings(log_in_failures_per_name=Rate.parse("1/15m"))
    async with database.transaction() as connection:
        await add_user(connection, Username.parse("alice"), await hasher.hash(RIGHT))
    rate_limiter = RateLimiter(database, hasher, limits, timeout=PATIENCE, device_lifetime=1)
    return Accounts(database, hasher, sessions, rate_limiter)


@pytest.fixture
async def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return found


def add_hashes(database_url: str, hashes: list[str]) -> None:
    execute(
        database_url,
        """WITH u AS (INSERT INTO "user" (id) VALUES (gen_random_uuid()) RETURNING id)
           INSERT INTO key (provider, name, user_id, display_name, password_hash, password_scheme)
           SELECT 'username', hash, id, hash, hash, scheme
           FROM u, unnest($1::text[], $2::text[]) AS h (hash, scheme)""",
        hashes,
        [parse_password_hash(each).scheme for each in hashes],
    )


async def test_every_scheme_in_use_is_measured_and_no_other(
    database_url: str, database: Database, hasher: Hasher
) -> None:
    await asyncio.to_thread(add_hashes, database_url, HASHES)
    await measure_verify_times(database, hasher)
    assert hasher._times.keys() == {parse_password_hash(each).scheme for each in HASHES}
    await asyncio.to_thread(execute, database_url, REMOVE_PASSWORDS)
    await measure_verify_times(database, hasher)
    assert hasher._times.keys() == {parse_password_hash(HASHES[-1]).scheme}


async def test_hashes_whose_stored_schemes_differ_are_measured_as_one_scheme(
    hasher: Hasher,
) -> None:
    stored = [PasswordHash(HASHES[-1], f"stored {number}") for number in range(50)]
    await hasher.measure(stored)
    assert len(hasher._times) == 1


async def test_the_p90_time_is_that_of_the_slowest_scheme(
    database_url: str, database: Database, hasher: Hasher
) -> None:
    assert hasher.p90_verify_time == 0
    await measure_verify_times(database, hasher)
    ours = hasher.p90_verify_time
    await asyncio.to_thread(add_hashes, database_url, HASHES)
    await measure_verify_times(database, hasher)
    assert hasher.p90_verify_time > ours


async def test_the_start_of_a_process_is_not_measured(hasher: Hasher) -> None:
    await hasher.verify(None, Password("x"))
    assert hasher._times == {}
    await hasher.verify(None, Password("x"))
    assert len(hasher._times) == 1


@pytest.mark.parametrize("error", [InvalidCredentials(), RateLimited(1)])
async def test_refusals_are_delayed_by_the_p90_verify_time(
    hasher: Hasher, slept: list[float], monkeypatch: pytest.MonkeyPatch, error: AuthError
) -> None:
    clock = iter([1000.0, 1000.25])
    monkeypatch.setattr(module, "monotonic", lambda: next(clock))
    monkeypatch.setattr(Hasher, "p90_verify_time", 2.0)
    with pytest.raises(type(error)):
        async with uniform_timing(hasher):
            raise error
    assert slept == [1.75]


@pytest.mark.parametrize("username", ["alice", "nobody"])
async def test_refused_log_ins_are_delayed_whether_the_name_exists_or_not(
    accounts: Accounts, slept: list[float], monkeypatch: pytest.MonkeyPatch, username: str
) -> None:
    monkeypatch.setattr(module, "monotonic", lambda: 1000.0)
    monkeypatch.setattr(Hasher, "p90_verify_time", 2.0)
    for error in (InvalidCredentials, RateLimited):
        with pytest.raises(error):
            await accounts.log_in(ClaimedUsername.parse(username), WRONG, context=RequestContext())
    assert slept == [2.0, 2.0]


async def test_nothing_but_a_refusal_is_delayed(hasher: Hasher, slept: list[float]) -> None:
    await hasher.measure([])
    async with uniform_timing(hasher):
        pass
    with pytest.raises(Overloaded):
        async with uniform_timing(hasher):
            raise Overloaded
    assert slept == []
