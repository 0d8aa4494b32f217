from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from service.auth.errors import Overloaded
from service.auth.hashing.hasher import Hasher
from service.auth.hashing.jobs import Hash, Job, Verification, Verify
from service.auth.hashing.program import NICENESS, argon2_hasher, execute
from service.auth.passwords import NewPassword, Password, PasswordPolicy
from service.settings.passwords import Argon2Cost
from tests.services import PATIENCE

CHEAP = Argon2Cost(time_cost=1, memory_kib=64)
RIGHT = PasswordPolicy().accept("correct horse battery staple")
WRONG = Password("incorrect horse")


@pytest.fixture
async def hasher(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hasher]:
    # A process must send each result at once, though Python buffers its output.
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    hasher = Hasher(CHEAP, processes=1, queue_length=1, timeout=PATIENCE)
    yield hasher
    await hasher.close()


def process_of(hasher: Hasher) -> psutil.Process:
    """Return the process of a hasher that has been used."""
    (process,) = [
        child
        for child in psutil.Process().children()
        if "service.auth.hashing.program" in child.cmdline()
    ]
    return process


def autogroup_niceness(pid: int) -> int | None:
    """Return the niceness of a process's session; ``None`` where Linux has no autogroups."""
    autogroup = Path(f"/proc/{pid}/autogroup")
    return int(autogroup.read_text().split()[-1]) if autogroup.exists() else None


async def test_a_hash_verifies_its_password_and_no_other(hasher: Hasher) -> None:
    password_hash = await hasher.hash(RIGHT)
    assert (await hasher.verify(password_hash, RIGHT)).matches
    assert not (await hasher.verify(password_hash, WRONG)).matches
    assert not (await hasher.verify(password_hash, Password("\x00"))).matches


async def test_hashes_of_the_same_password_differ(hasher: Hasher) -> None:
    assert await hasher.hash(RIGHT) != await hasher.hash(RIGHT)


async def test_without_a_hash_no_password_matches(hasher: Hasher) -> None:
    assert not (await hasher.verify(None, RIGHT)).matches
    assert not (await hasher.verify(None, Password("\x00"))).matches


def test_a_password_that_is_not_unicode_matches_no_hash() -> None:
    hasher = argon2_hasher(CHEAP)
    job = Verify(hasher.hash("?"), ["half a pair \ud800"], "half a pair \ud800")
    assert execute(job, hasher) == Verification(matches=False, needs_rehash=False)


async def test_the_time_of_a_verification_that_starts_a_process_is_not_kept(
    hasher: Hasher,
) -> None:
    await hasher.verify(None, WRONG)
    assert hasher.p90_verify_time == 0
    await hasher.verify(None, WRONG)
    assert hasher.p90_verify_time > 0


async def test_the_time_of_hashing_is_not_that_of_verification(hasher: Hasher) -> None:
    for _ in range(2):
        await hasher.hash(RIGHT)
    assert hasher.p90_verify_time == 0


async def test_a_hasher_that_was_never_used_can_be_closed() -> None:
    await Hasher(CHEAP, processes=1, queue_length=1, timeout=PATIENCE).close()


async def test_without_a_hash_no_password_matches_even_if_it_is_that_of_the_work(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def match(_: Job, **__: object) -> Verification:
        return Verification(matches=True)

    monkeypatch.setattr(hasher, "_execute", match)
    assert not (await hasher.verify(None, RIGHT)).matches


async def test_a_password_without_a_prepared_form_is_not_hashed(hasher: Hasher) -> None:
    with pytest.raises(ValueError, match="no prepared form"):
        await hasher.hash(NewPassword("\x00"))


async def test_without_a_hash_verification_does_the_same_work(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    password_hash = await hasher.hash(RIGHT)
    jobs: list[Job] = []

    async def record(job: Job, **_: object) -> Verification:
        jobs.append(job)
        return Verification(matches=False)

    monkeypatch.setattr(hasher, "_execute", record)
    await hasher.verify(password_hash, WRONG)
    await hasher.verify(None, WRONG)
    known, unknown = jobs
    assert isinstance(known, Verify)
    assert isinstance(unknown, Verify)
    assert known.forms == unknown.forms
    assert known.password_hash.rsplit("$", 2)[0] == unknown.password_hash.rsplit("$", 2)[0]


async def test_only_a_hash_of_another_cost_needs_a_rehash(hasher: Hasher) -> None:
    current = await hasher.hash(RIGHT)
    assert await hasher.verify(current, RIGHT) == Verification(matches=True, needs_rehash=False)
    cost = Argon2Cost(time_cost=2, memory_kib=64)
    costlier = Hasher(cost, processes=1, queue_length=1, timeout=PATIENCE)
    outdated = await costlier.verify(current, RIGHT)
    renewed = await costlier.hash(RIGHT)
    await costlier.close()
    assert outdated == Verification(matches=True, needs_rehash=True)
    assert renewed.text.startswith("$argon2id$v=19$m=64,t=2,p=1$")


async def test_a_full_queue_refuses_immediately(hasher: Hasher) -> None:
    await hasher.hash(RIGHT)
    process = process_of(hasher)
    process.suspend()
    working, waiting = (asyncio.create_task(hasher.hash(RIGHT)) for _ in range(2))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await hasher.hash(RIGHT)
    process.resume()
    await asyncio.gather(working, waiting)
    await hasher.hash(RIGHT)


async def test_the_timeout_covers_the_queue_and_the_work(
    hasher: Hasher,
) -> None:
    await hasher.hash(RIGHT)
    process = process_of(hasher)
    process.suspend()
    hasher._timeout = 0.01
    for _ in range(2):
        with pytest.raises(Overloaded):
            await hasher.hash(RIGHT)
    hasher._timeout = PATIENCE
    process.resume()
    await hasher.hash(RIGHT)


async def test_the_result_of_a_cancelled_job_goes_to_no_other_job(hasher: Hasher) -> None:
    password_hash = await hasher.hash(RIGHT)
    process = process_of(hasher)
    process.suspend()
    cancelled = asyncio.create_task(hasher.verify(password_hash, RIGHT))
    await asyncio.sleep(0)
    next_one = asyncio.create_task(hasher.verify(password_hash, WRONG))
    await asyncio.sleep(0)
    cancelled.cancel()
    process.resume()
    assert not (await next_one).matches


async def test_a_dead_process_is_replaced(hasher: Hasher) -> None:
    await hasher.hash(RIGHT)
    process = process_of(hasher)
    process.suspend()
    working = asyncio.create_task(hasher.hash(RIGHT))
    await asyncio.sleep(0)
    process.kill()
    await working
    assert process_of(hasher).pid != process.pid


async def test_hash_processes_give_way_to_requests_and_do_not_starve(hasher: Hasher) -> None:
    await hasher.hash(RIGHT)
    process = process_of(hasher)
    assert os.getsid(process.pid) == process.pid
    assert process.nice() == min(os.nice(0) + NICENESS, 19)
    assert os.sched_getscheduler(process.pid) == os.SCHED_OTHER
    assert autogroup_niceness(process.pid) in {NICENESS, None}


async def test_close_leaves_no_process(hasher: Hasher) -> None:
    await hasher.hash(RIGHT)
    process = process_of(hasher)
    await hasher.close()
    assert not process.is_running()


async def test_close_finishes_the_work_under_way_and_refuses_what_waits(hasher: Hasher) -> None:
    await hasher.hash(RIGHT)
    process = process_of(hasher)
    process.suspend()
    working, waiting = (asyncio.create_task(hasher.hash(RIGHT)) for _ in range(2))
    await asyncio.sleep(0)
    closing = asyncio.create_task(hasher.close())
    await asyncio.sleep(0)
    process.resume()
    assert (await working).text
    with pytest.raises(Overloaded):
        await waiting
    await closing


def test_the_repr_of_a_job_hides_its_secrets() -> None:
    assert "secret" not in repr(Hash("secret"))
    assert "secret" not in repr(Verify("secret", ["secret"], "secret"))


async def test_the_repr_of_a_hash_hides_it(hasher: Hasher) -> None:
    assert repr(await hasher.hash(RIGHT)) == "PasswordHash(…)"
