"""Refusals take equally long; how long, `benchmarks` measure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.app import guessing_limits_of, limits_of, periods_of
from service.auth import even_refusals as module
from service.auth.accounts import Accounts, add_user
from service.auth.errors import AuthError, InvalidCredentials, Overloaded, RateLimited
from service.auth.even_refusals import even_refusals, learn_times
from service.auth.foreign_hashes import kind_of
from service.auth.guessing import Guessing
from service.auth.hash_process import Argon2Cost
from service.auth.hashing import Hasher
from service.auth.passwords import Password, PasswordPolicy
from service.auth.sessions import Sessions
from service.auth.usernames import ClaimedUsername, Username
from service.model import Caller
from service.settings import Rate, Settings
from service.storage.database import Database
from service.storage.session_lookups import SessionLookups
from tests.auth.test_foreign_hashes import FOREIGN, OSLO_ARGON2ID, lucia_v1
from tests.databases import execute

CHEAP = Argon2Cost(time_cost=1, memory_kib=64)
RIGHT = PasswordPolicy().accept("correct horse battery staple")
WRONG = Password("incorrect horse")
HASHES = [
    *(password_hash for _, password_hash in (*FOREIGN, *OSLO_ARGON2ID)),
    lucia_v1("another", salt="b" * 16),
    CHEAP.hasher().hash("a"),
    CHEAP.hasher().hash("b"),
]


@pytest.fixture
async def hasher() -> AsyncIterator[Hasher]:
    hasher = Hasher(CHEAP, processes=1, queue_length=1, patience=10)
    yield hasher
    await hasher.close()


@pytest.fixture
async def accounts(database_url: str, database: Database, hasher: Hasher) -> Accounts:
    """Alice's account, and others that are not there; a name may fail once."""
    settings = Settings(log_in_failures_per_name=Rate.parse("1/15m"))
    lookups = SessionLookups(database_url, limits_of(settings))
    sessions = Sessions(database, lookups, periods_of(settings))
    async with database.transaction() as connection:
        await add_user(connection, Username.parse("alice"), await hasher.hash(RIGHT))
    return Accounts(database, hasher, sessions, Guessing(database, guessing_limits_of(settings)))


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
           INSERT INTO key (provider, name, user_id, display_name, password_hash)
           SELECT 'username', hash, id, hash, hash FROM u, unnest($1::text[]) AS hash""",
        hashes,
    )


async def test_every_kind_of_hash_that_users_have_is_learned_and_no_other(
    database_url: str, database: Database, hasher: Hasher
) -> None:
    await asyncio.to_thread(add_hashes, database_url, HASHES)
    await learn_times(database, hasher)
    assert hasher.known_kinds == {kind_of(each) for each in HASHES}
    await asyncio.to_thread(execute, database_url, "UPDATE key SET password_hash = NULL")
    await learn_times(database, hasher)
    assert hasher.known_kinds == {kind_of(CHEAP.hasher().hash("a"))}


async def test_the_usual_time_is_that_of_the_slowest_kind(
    database_url: str, database: Database, hasher: Hasher
) -> None:
    assert hasher.usual_time == 0
    await learn_times(database, hasher)
    ours = hasher.usual_time
    await asyncio.to_thread(add_hashes, database_url, HASHES)
    await learn_times(database, hasher)
    assert hasher.usual_time > ours


async def test_the_time_that_starting_takes_is_none_of_verifying(hasher: Hasher) -> None:
    await hasher.verify(None, Password("x"))
    assert hasher.known_kinds == set()
    await hasher.verify(None, Password("x"))
    assert len(hasher.known_kinds) == 1


@pytest.mark.parametrize("error", [InvalidCredentials(), RateLimited(1)])
async def test_refusals_wait_until_verifying_would_be_over(
    hasher: Hasher, slept: list[float], monkeypatch: pytest.MonkeyPatch, error: AuthError
) -> None:
    clock = iter([1000.0, 1000.25])
    monkeypatch.setattr(module, "monotonic", lambda: next(clock))
    monkeypatch.setattr(Hasher, "usual_time", 2.0)
    with pytest.raises(type(error)):
        async with even_refusals(hasher):
            raise error
    assert slept == [1.75]


@pytest.mark.parametrize("username", ["alice", "nobody"])
async def test_each_log_in_that_is_refused_waits_whether_the_name_exists_or_not(
    accounts: Accounts, slept: list[float], monkeypatch: pytest.MonkeyPatch, username: str
) -> None:
    monkeypatch.setattr(module, "monotonic", lambda: 1000.0)
    monkeypatch.setattr(Hasher, "usual_time", 2.0)
    for error in (InvalidCredentials, RateLimited):
        with pytest.raises(error):
            await accounts.log_in(ClaimedUsername.parse(username), WRONG, caller=Caller())
    assert slept == [2.0, 2.0]


async def test_nothing_else_waits(hasher: Hasher, slept: list[float]) -> None:
    await hasher.learn([])
    async with even_refusals(hasher):
        pass
    with pytest.raises(Overloaded):
        async with even_refusals(hasher):
            raise Overloaded
    assert slept == []
