from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator

import argon2
import pytest

from service.auth.errors import Overloaded
from service.auth.hashing import NICENESS, Argon2Cost, Hasher
from service.auth.passwords import Password, PasswordPolicy

CHEAP = Argon2Cost(time_cost=1, memory_kib=64)
RIGHT = PasswordPolicy().accept("correct horse battery staple")
WRONG = Password("incorrect horse")


@pytest.fixture
def hasher() -> Iterator[Hasher]:
    hasher = Hasher(CHEAP, threads=1, queue_length=1)
    yield hasher
    hasher.close()


async def test_a_hash_verifies_its_password_and_no_other(hasher: Hasher) -> None:
    password_hash = await hasher.hash(RIGHT)
    assert await hasher.verify(password_hash, RIGHT)
    assert not await hasher.verify(password_hash, WRONG)
    assert not await hasher.verify(password_hash, Password("\x00"))


async def test_the_same_password_is_hashed_differently_each_time(hasher: Hasher) -> None:
    assert await hasher.hash(RIGHT) != await hasher.hash(RIGHT)


async def test_no_hash_is_nobodys(hasher: Hasher) -> None:
    assert not await hasher.verify(None, RIGHT)
    assert not await hasher.verify(None, Password("\x00"))


async def test_without_a_hash_the_same_work_is_done(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    password_hash = await hasher.hash(RIGHT)
    verified: list[str] = []
    real = argon2.PasswordHasher.verify

    def spy(self: argon2.PasswordHasher, password_hash: str, password: str) -> bool:
        verified.append(password_hash)
        return real(self, password_hash, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", spy)
    await hasher.verify(password_hash, WRONG)
    await hasher.verify(None, WRONG)
    known, nobodys = verified
    assert known.rsplit("$", 2)[0] == nobodys.rsplit("$", 2)[0]


async def test_only_a_hash_of_another_cost_is_made_anew(hasher: Hasher) -> None:
    current = await hasher.hash(RIGHT)
    assert await hasher.rehash(current, RIGHT) is None
    dearer = Hasher(Argon2Cost(time_cost=2, memory_kib=64), threads=1, queue_length=1)
    renewed = await dearer.rehash(current, RIGHT)
    dearer.close()
    assert renewed is not None
    assert renewed.startswith("$argon2id$v=19$m=64,t=2,p=1$")
    assert await hasher.verify(renewed, RIGHT)


async def test_a_full_queue_refuses_at_once(hasher: Hasher) -> None:
    released = threading.Event()
    working = asyncio.create_task(hasher._in_thread(released.wait))
    waiting = asyncio.create_task(hasher._in_thread(released.wait))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await hasher.hash(RIGHT)
    released.set()
    await asyncio.gather(working, waiting)
    assert await hasher.hash(RIGHT)


async def test_hashing_is_not_done_by_the_event_loops_thread(hasher: Hasher) -> None:
    assert await hasher._in_thread(threading.get_ident) != threading.get_ident()


async def test_hashing_gives_way_to_answering(hasher: Hasher) -> None:
    priority = await hasher._in_thread(
        lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    )
    assert priority == os.getpriority(os.PRIO_PROCESS, 0) + NICENESS


async def test_a_hash_does_not_show_itself(hasher: Hasher) -> None:
    assert repr(await hasher.hash(RIGHT)) == "PasswordHash(…)"
