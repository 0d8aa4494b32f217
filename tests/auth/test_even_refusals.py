"""Refusals take equally long; how long, `benchmarks` measure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.auth.errors import AuthError, InvalidCredentials, Overloaded, RateLimited
from service.auth.even_refusals import even_refusals, learn_times
from service.auth.foreign_hashes import kind_of
from service.auth.hash_process import Argon2Cost
from service.auth.hashing import Hasher
from service.auth.passwords import Password
from service.storage.database import Database
from tests.auth.test_foreign_hashes import FOREIGN, OSLO_ARGON2ID, lucia_v1
from tests.databases import execute

CHEAP = Argon2Cost(time_cost=1, memory_kib=64)
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
    hasher: Hasher, slept: list[float], error: AuthError
) -> None:
    await hasher.learn([])
    with pytest.raises(type(error)):
        async with even_refusals(hasher):
            raise error
    (seconds,) = slept
    assert seconds <= hasher.usual_time


async def test_nothing_else_waits(hasher: Hasher, slept: list[float]) -> None:
    await hasher.learn([])
    async with even_refusals(hasher):
        pass
    with pytest.raises(Overloaded):
        async with even_refusals(hasher):
            raise Overloaded
    assert slept == []
