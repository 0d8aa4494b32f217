from __future__ import annotations

import asyncio
import gc
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import argon2
import msgspec
import psutil
import pytest
import uvloop
from structlog.testing import capture_logs

from service.auth.errors import Overloaded
from service.auth.hashing import pool
from service.auth.hashing import process as process_module
from service.auth.hashing.fair_queue import SERVICE, Requester, SharedQueue
from service.auth.hashing.hasher import Hasher
from service.auth.hashing.jobs import Failed, Hash, Hashed, Verified, Verify
from service.auth.hashing.pool import Executed
from service.auth.hashing.process import HashProcess
from service.auth.hashing.program import NICENESS, argon2_hasher, execute
from service.auth.passwords import NewPassword, Password, PasswordPolicy
from service.settings.passwords import Argon2Cost, HashingSettings
from service.settings.values import Duration
from tests.services import PATIENCE, is_running, wait_for

CHEAP = Argon2Cost(time_cost=1, memory_kib=64)
PATIENT = HashingSettings(
    queue_length=1,
    known_queue_length=1,
    queue_timeout=Duration(PATIENCE),
    time_limit=Duration(PATIENCE),
)
RIGHT = PasswordPolicy().accept("correct horse battery staple")
WRONG = Password("incorrect horse")


@pytest.fixture
async def hasher(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hasher]:
    # A process must send each result at once, though Python buffers its output.
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    hasher = Hasher(CHEAP, PATIENT, processes=1)
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
    text = "half a pair \ud800"
    job = Verify(
        password_hash=hasher.hash("?"), forms=[text], prepared=None, text=text, renew=False
    )
    assert execute(job, hasher) == Verified(matches=False)


async def test_the_time_of_a_verification_that_starts_a_process_is_not_kept(
    hasher: Hasher,
) -> None:
    await hasher.verify(None, WRONG)
    assert hasher.refusal_time() == 0
    await hasher.verify(None, WRONG)
    assert hasher.refusal_time() > 0


async def test_the_time_of_a_verification_whose_process_was_replaced_is_not_kept(
    hasher: Hasher,
) -> None:
    await hasher.hash(RIGHT)
    dying = process_of(hasher)
    dying.suspend()
    verifying = asyncio.create_task(hasher.verify(None, WRONG))
    await asyncio.sleep(0)
    dying.kill()
    await verifying
    assert hasher.refusal_time() == 0


async def test_the_time_of_hashing_is_not_that_of_verification(hasher: Hasher) -> None:
    for _ in range(2):
        await hasher.hash(RIGHT)
    assert hasher.refusal_time() == 0


async def test_the_time_of_a_verification_of_several_forms_is_not_kept(hasher: Hasher) -> None:
    await hasher.hash(RIGHT)
    several = Password("\N{LATIN SMALL LIGATURE FI}wrong password")
    assert len(several.forms) == 2
    await hasher.verify(None, several)
    assert hasher.refusal_time() == 0


async def test_the_time_of_a_verification_that_made_a_new_hash_is_not_kept(hasher: Hasher) -> None:
    costlier = Hasher(Argon2Cost(time_cost=2, memory_kib=64), PATIENT, processes=1)
    await costlier.hash(RIGHT)
    renewed = await costlier.verify(await hasher.hash(RIGHT), RIGHT, renew=True)
    await costlier.close()
    assert renewed.new_hash is not None
    assert costlier.refusal_time() == 0


async def test_a_hasher_that_was_never_used_can_be_closed() -> None:
    await Hasher(CHEAP, PATIENT, processes=1).close()


async def test_without_a_hash_no_password_matches_even_if_it_is_that_of_the_work(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def match(*_: object, **__: object) -> Executed:
        return Executed(result=Verified(matches=True), seconds=0, was_warm=True)

    monkeypatch.setattr(hasher._pool, "execute", match)
    assert not (await hasher.verify(None, RIGHT)).matches


async def test_a_password_without_a_prepared_form_is_not_hashed(hasher: Hasher) -> None:
    with pytest.raises(ValueError, match="no prepared form"):
        await hasher.hash(NewPassword("\x00"))


async def test_without_a_hash_verification_does_the_same_work(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    password_hash = await hasher.hash(RIGHT)
    jobs: list[Verify] = []

    async def record(job: Verify, *_: object, **__: object) -> Executed:
        jobs.append(job)
        return Executed(result=Verified(matches=False), seconds=0, was_warm=True)

    monkeypatch.setattr(hasher._pool, "execute", record)
    await hasher.verify(password_hash, WRONG)
    await hasher.verify(None, WRONG)
    known, unknown = jobs
    assert known.forms == unknown.forms
    assert known.password_hash.rsplit("$", 2)[0] == unknown.password_hash.rsplit("$", 2)[0]


async def test_only_a_hash_of_another_cost_needs_a_rehash(hasher: Hasher) -> None:
    current = await hasher.hash(RIGHT)
    same = await hasher.verify(current, RIGHT, renew=True)
    assert same.matches
    assert same.new_hash is None
    costlier = Hasher(Argon2Cost(time_cost=2, memory_kib=64), PATIENT, processes=1)
    outdated = await costlier.verify(current, RIGHT, renew=True)
    unasked = await costlier.verify(current, RIGHT)
    assert outdated.new_hash is not None
    assert (await costlier.verify(outdated.new_hash, RIGHT)).matches
    await costlier.close()
    assert outdated.new_hash.text.startswith("$argon2id$v=19$m=64,t=2,p=1$")
    assert unasked.new_hash is None


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


async def test_an_idle_process_needs_no_place_in_the_queue(hasher: Hasher) -> None:
    limit_queues(hasher, 0)
    await hasher.require_place(SERVICE)


async def test_a_refusal_is_paused_and_logged_before_anything_else_is_done(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hasher.hash(RIGHT)
    suspended = process_of(hasher)
    suspended.suspend()
    limit_queues(hasher, 0)
    working = asyncio.create_task(hasher.hash(RIGHT))
    await asyncio.sleep(0)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    with capture_logs() as logs, monkeypatch.context() as patch:
        patch.setattr(asyncio, "sleep", sleep)
        for _ in range(100):
            with pytest.raises(Overloaded):
                await hasher.require_place(SERVICE)
    suspended.resume()
    await working
    assert [each["event"] for each in logs] == ["hashing_overloaded"]
    assert len(set(pauses)) > 1
    assert 0.5 < sum(pauses) / len(pauses) < 1.5


async def test_a_job_that_was_given_up_leaves_its_place(hasher: Hasher) -> None:
    await hasher.hash(RIGHT)
    suspended = process_of(hasher)
    suspended.suspend()
    working, given_up = (asyncio.create_task(hasher.hash(RIGHT)) for _ in range(2))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait([given_up])
    await hasher.require_place(SERVICE)
    waiting = asyncio.create_task(hasher.hash(RIGHT))
    await asyncio.sleep(0)
    suspended.resume()
    await asyncio.gather(working, waiting)
    assert not hasher._pool._turns


async def test_a_job_that_is_given_up_when_its_turn_comes_hands_the_process_on(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hasher.hash(RIGHT)
    suspended = process_of(hasher)
    suspended.suspend()
    working, given_up = (asyncio.create_task(hasher.hash(RIGHT)) for _ in range(2))
    await asyncio.sleep(0)
    hand_on = hasher._pool._hand_on

    def hand_on_and_give_up(process: HashProcess) -> None:
        hand_on(process)
        given_up.cancel()

    monkeypatch.setattr(hasher._pool, "_hand_on", hand_on_and_give_up)
    suspended.resume()
    await asyncio.wait([working, given_up])
    assert given_up.cancelled()
    hasher._pool._timeout = 1.0
    await hasher.hash(RIGHT)


async def test_a_job_that_is_given_up_when_it_is_refused_is_cancelled(hasher: Hasher) -> None:
    await hasher.hash(RIGHT)
    suspended = process_of(hasher)
    suspended.suspend()
    working, given_up = (asyncio.create_task(hasher.hash(RIGHT)) for _ in range(2))
    await asyncio.sleep(0)
    closing = asyncio.create_task(hasher.close())
    await asyncio.sleep(0)
    given_up.cancel()
    suspended.resume()
    await asyncio.wait([working, given_up, closing])
    assert given_up.cancelled()


async def test_the_timeout_covers_the_queue_and_the_work(
    hasher: Hasher,
) -> None:
    await hasher.hash(RIGHT)
    process = process_of(hasher)
    process.suspend()
    hasher._pool._timeout = 0.01
    for _ in range(2):
        with pytest.raises(Overloaded):
            await hasher.hash(RIGHT)
    hasher._pool._timeout = PATIENCE
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


async def test_the_failure_of_an_abandoned_job_is_not_logged_by_asyncio(hasher: Hasher) -> None:
    """Asyncio logs the traceback of every exception that is not retrieved."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    await hasher.hash(RIGHT)
    process_of(hasher).suspend()
    abandoned = asyncio.create_task(hasher.hash(RIGHT))
    await asyncio.sleep(0)
    abandoned.cancel()
    with pytest.raises(asyncio.CancelledError):
        await abandoned
    await hasher.close()
    gc.collect()
    assert reported == []


async def test_a_dead_process_is_replaced(hasher: Hasher) -> None:
    await hasher.hash(RIGHT)
    process = process_of(hasher)
    process.suspend()
    working = asyncio.create_task(hasher.hash(RIGHT))
    await asyncio.sleep(0)
    process.kill()
    await working
    assert process_of(hasher).pid != process.pid


def test_a_process_whose_death_shows_in_its_input_first_is_replaced() -> None:
    """With the loop of the service: a write to a closed pipe is an error there."""

    async def hash_beside_a_dying_process() -> None:
        hasher = Hasher(CHEAP, PATIENT, processes=1)
        await hasher.hash(RIGHT)
        dying, process = process_of(hasher), hasher._pool._all[0]._process
        assert process is not None
        assert process.stdin is not None
        dying.suspend()
        process.stdin.close()
        await process.stdin.wait_closed()
        hashing = asyncio.create_task(hasher.hash(RIGHT))
        for _ in range(100):  # More turns of the loop than the first try needs.
            await asyncio.sleep(0)
        dying.kill()
        assert (await hashing).text
        await hasher.close()

    uvloop.run(hash_beside_a_dying_process())


@pytest.mark.parametrize("noise", ["echo a line of some library", "printf '%070000d\\n' 0"])
async def test_what_a_process_writes_beside_its_results_leads_to_no_wrong_result(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, noise: str
) -> None:
    """The result of one job would be read as that of the next: a wrong password would match."""
    password_hash = await hasher.hash(RIGHT)
    noisy = tmp_path / "noisy"
    noisy.write_text(f'#!/bin/sh\n{noise}\nexec {sys.executable} "$@"\n')
    noisy.chmod(0o700)
    process_of(hasher).kill()
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(sys, "executable", str(noisy))
        with pytest.raises(Overloaded):
            await hasher.verify(password_hash, RIGHT)
    assert [each["reason"] for each in logs] == ["a process wrote what is no result"]
    assert not (await hasher.verify(password_hash, WRONG)).matches
    assert (await hasher.verify(password_hash, RIGHT)).matches


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


async def test_nothing_is_kept_of_a_job_that_is_done(hasher: Hasher) -> None:
    await hasher.hash(RIGHT)
    assert not hasher._pool._turns
    assert not hasher._pool._running


async def test_a_closed_hasher_refuses_in_silence(hasher: Hasher) -> None:
    await hasher.close()
    with capture_logs() as logs, pytest.raises(Overloaded):
        await hasher.hash(RIGHT)
    assert logs == []


async def test_close_finishes_the_work_under_way_and_refuses_what_waits(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "STOP_TIMEOUT", 0)
    await hasher.hash(RIGHT)
    process = process_of(hasher)
    process.suspend()
    working, waiting = (asyncio.create_task(hasher.hash(RIGHT)) for _ in range(2))
    await asyncio.sleep(0)
    closing = asyncio.create_task(hasher.close())
    await asyncio.sleep(0)
    too_late = asyncio.create_task(hasher.hash(RIGHT))
    await asyncio.sleep(0)
    assert isinstance(too_late.exception(), Overloaded)
    assert isinstance(waiting.exception(), Overloaded)
    process.resume()
    assert (await working).text
    await closing


async def test_close_waits_for_the_end_of_all_jobs(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever their processes do: no task is left behind."""

    async def stop(_: HashProcess) -> None: ...

    await hasher.hash(RIGHT)
    process = process_of(hasher)
    process.suspend()
    working = asyncio.create_task(hasher.hash(RIGHT))
    await asyncio.sleep(0)
    with monkeypatch.context() as patch:
        patch.setattr(pool, "CLOSE_TIMEOUT", 0)
        patch.setattr(HashProcess, "stop", stop)
        closing = asyncio.create_task(hasher.close())
        for _ in range(100):  # More turns of the loop than it needs to stop the processes.
            await asyncio.sleep(0)
        assert not closing.done()
        process.resume()
        await closing
    assert (await working).text


async def test_an_idle_process_ends_by_itself_when_the_hasher_is_closed(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "STOP_TIMEOUT", PATIENCE)
    await hasher.hash(RIGHT)
    process = hasher._pool._all[0]._process
    assert process is not None
    await hasher.close()
    assert process.returncode == 0


def test_the_repr_of_a_job_hides_its_secrets() -> None:
    assert "secret" not in repr(Hash("secret"))
    job = Verify(
        password_hash="secret", forms=["secret"], prepared="secret", text="secret", renew=True
    )
    assert "secret" not in repr(job)
    assert "secret" not in repr(Hashed("secret"))
    assert "secret" not in repr(Verified(matches=True, new_hash="secret"))


async def test_the_repr_of_a_hash_hides_it(hasher: Hasher) -> None:
    assert repr(await hasher.hash(RIGHT)) == "PasswordHash(…)"


async def test_a_job_past_its_time_limit_ends_with_its_process_which_is_replaced(
    hasher: Hasher,
) -> None:
    await hasher.hash(RIGHT)
    hanging = process_of(hasher)
    hanging.suspend()
    limit_time_of_jobs(hasher, 0.01)
    with pytest.raises(Overloaded):
        await hasher.hash(RIGHT)
    assert not hanging.is_running()
    assert not hasher.is_alive
    limit_time_of_jobs(hasher, PATIENCE)
    await hasher.hash(RIGHT)
    assert hasher.is_alive


async def test_a_busy_hasher_is_alive(hasher: Hasher) -> None:
    assert hasher.is_alive
    starting = asyncio.create_task(hasher.hash(RIGHT))
    while not starting.done():
        assert hasher.is_alive
        await asyncio.sleep(0)
    process = process_of(hasher)
    process.suspend()
    working, waiting = (asyncio.create_task(hasher.hash(RIGHT)) for _ in range(2))
    for _ in range(100):  # More turns of the loop than the process needs to be given the job.
        await asyncio.sleep(0)
        assert hasher.is_alive
    process.resume()
    await asyncio.gather(working, waiting)


async def test_a_process_that_cannot_be_started_is_overload(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/does/not/exist")
    with pytest.raises(Overloaded):
        await hasher.hash(RIGHT)
    assert not hasher.is_alive


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_process_that_cannot_be_started_in_time_is_overload(
    hasher: Hasher, *, is_first: bool
) -> None:
    if not is_first:
        await hasher.hash(RIGHT)
        process = hasher._pool._all[0]._process
        assert process is not None
        process.kill()
        await process.wait()
    limit_time_of_jobs(hasher, 0)
    with pytest.raises(Overloaded):
        await hasher.hash(RIGHT)


async def test_a_job_is_tried_again_only_once_its_process_has_ended(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A process that dies closes its output first: it would be given the job once more."""
    dying = tmp_path / "dying"
    dying.write_text("#!/bin/sh\nread -r job\nexec >&-\nread -r another\n")
    dying.chmod(0o700)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(dying))
        hashing = asyncio.create_task(hasher.hash(RIGHT))
        await asyncio.to_thread(wait_for, lambda: not outputs_of_children(dying), "it is closed")
    for _ in range(100):  # More turns of the loop than a second try would need.
        await asyncio.sleep(0)
    assert not hashing.done()
    process_of(hasher).kill()
    assert (await hashing).text


def outputs_of_children(program: Path) -> list[Path]:
    """Return what the children that execute a program have as output; fails if there is none."""
    children = [each for each in psutil.Process().children() if str(program) in each.cmdline()]
    outputs = [Path(f"/proc/{each.pid}/fd/1") for each in children]
    return [each for each in outputs if os.path.lexists(each)] if outputs else [program]


async def test_a_hash_for_which_there_is_no_memory_is_overload_and_told(hasher: Hasher) -> None:
    for each in hasher._pool._all:
        each._cost = Argon2Cost(time_cost=1, memory_kib=2**20)
    # It starts the process.
    await hasher.verify(None, WRONG)
    process_of(hasher).rlimit(psutil.RLIMIT_AS, (2**29, 2**29))
    with capture_logs() as logs, pytest.raises(Overloaded):
        await hasher.hash(RIGHT)
    reason = "Memory allocation error"
    assert logs == [{"event": "hashing_failed", "reason": reason, "log_level": "warning"}]
    assert hasher.is_alive


class OutOfMemory(argon2.PasswordHasher):
    """A hasher for which Python itself finds no memory."""

    def hash(self, *_: object, **__: object) -> str:
        raise MemoryError

    def verify(self, *_: object, **__: object) -> Literal[True]:
        raise MemoryError


def test_the_program_outlasts_a_lack_of_memory() -> None:
    assert execute(Hash("password"), OutOfMemory()) == Failed("MemoryError")
    job = Verify(
        password_hash=argon2_hasher(CHEAP).hash("password"),
        forms=["password"],
        prepared="password",
        text="password",
        renew=False,
    )
    assert execute(job, OutOfMemory()) == Verified(matches=False)


async def test_processes_that_die_again_and_again_are_overload(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(Overloaded):
        await hasher.verify(None, WRONG)


@pytest.mark.parametrize("busy", [False, True])
async def test_close_kills_a_process_that_hangs(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch, *, busy: bool
) -> None:
    monkeypatch.setattr(pool, "CLOSE_TIMEOUT", 0.01)
    monkeypatch.setattr(process_module, "STOP_TIMEOUT", 0.01)
    await hasher.hash(RIGHT)
    hanging = process_of(hasher)
    hanging.suspend()
    working = asyncio.create_task(hasher.hash(RIGHT)) if busy else None
    await asyncio.sleep(0)
    with capture_logs() as logs:
        await hasher.close()
    assert not hanging.is_running()
    assert not hasher._pool._running
    assert logs == []
    if working is not None:
        with pytest.raises(Overloaded):
            await working


KILL_ITSELF_AMID_A_HASH = """
import asyncio, os, psutil, signal
from service.auth.hashing.hasher import Hasher
from service.auth.passwords import PasswordPolicy
from service.settings.passwords import Argon2Cost, HashingSettings
from service.settings.values import Duration

async def main():
    unhurried = HashingSettings(queue_timeout=Duration(60), time_limit=Duration(60))
    hasher = Hasher(Argon2Cost(time_cost=100, memory_kib=1048576), unhurried, processes=1)
    hashing = asyncio.create_task(hasher.hash(PasswordPolicy().accept("correct horse battery")))
    while not (children := psutil.Process().children()) or children[0].memory_info().rss < 2**27:
        await asyncio.sleep(0.01)
    print(children[0].pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

Hasher.__init__.__globals__["argon2_hasher"] = lambda cost: __import__("argon2").PasswordHasher(
    time_cost=1, memory_cost=64, parallelism=1
)
asyncio.run(main())
"""


def test_a_hash_process_ends_with_its_parent_amid_a_job() -> None:
    parent = subprocess.run(
        [sys.executable, "-c", KILL_ITSELF_AMID_A_HASH],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    hashing = int(parent.stdout.split()[-1])
    wait_for(lambda: not is_running(hashing), "the process has ended")
    assert "Traceback" not in parent.stderr


def test_a_hash_process_whose_reader_is_gone_ends_in_silence() -> None:
    command = [sys.executable, "-m", "service.auth.hashing.program"]
    with subprocess.Popen(
        [*command, msgspec.json.encode(CHEAP).decode(), str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # The program lowers the priority of its whole session.
        start_new_session=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.close()
        program.stdin.write(msgspec.json.encode(Hash("password")) + b"\n")
        program.stdin.close()
        assert program.stderr.read() == b""
    assert program.returncode == 0


def test_a_hash_process_whose_parent_is_gone_already_ends_before_it_takes_a_job() -> None:
    somebody_else = str(os.getppid())
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "service.auth.hashing.program"),
            *(msgspec.json.encode(CHEAP).decode(), somebody_else),
        ],
        input=msgspec.json.encode(Hash("password")) + b"\n",
        capture_output=True,
        check=False,
        timeout=PATIENCE,
        start_new_session=True,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


async def test_somebody_else_is_next_in_a_flood_from_one_address(hasher: Hasher) -> None:
    limit_queues(hasher, 20)
    await hasher.hash(RIGHT)
    suspended = process_of(hasher)
    suspended.suspend()
    done: list[str] = []

    async def log_in(block: bytes, name: str) -> None:
        await hasher.verify(None, WRONG, Requester(block, name))
        done.append(name)

    flood = [asyncio.create_task(log_in(b"flood", f"name{n}")) for n in range(15)]
    await asyncio.sleep(0)
    owner = asyncio.create_task(log_in(b"home", "owner"))
    await asyncio.sleep(0)
    suspended.resume()
    await asyncio.gather(owner, *flood)
    # After the one that was under way, and the one of the flood that was first.
    assert done.index("owner") <= 2


async def test_a_full_queue_has_a_place_for_somebody_else(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hasher.hash(RIGHT)
    suspended = process_of(hasher)
    suspended.suspend()
    limit_queues(hasher, 2)
    flood = [
        asyncio.create_task(hasher.verify(None, WRONG, Requester(b"flood", f"name{n}")))
        for n in range(4)
    ]
    await asyncio.sleep(0)
    await hasher.require_place(Requester(b"home", "owner"))
    owner = asyncio.create_task(hasher.verify(None, WRONG, Requester(b"home", "owner")))
    await asyncio.sleep(0)
    monkeypatch.setattr(pool, "REFUSAL_PAUSE", 0)
    with pytest.raises(Overloaded):
        await hasher.require_place(Requester(b"flood", "another"))
    suspended.resume()
    assert not (await owner).matches
    results = await asyncio.gather(*flood, return_exceptions=True)
    assert [isinstance(each, Overloaded) for each in results] == [False, False, True, True]


async def test_the_service_itself_has_a_place_in_a_flood_of_strangers(hasher: Hasher) -> None:
    await hasher.hash(RIGHT)
    suspended = process_of(hasher)
    suspended.suspend()
    limit_queues(hasher, 1)
    flood = [
        asyncio.create_task(hasher.verify(None, WRONG, Requester(b"%d" % n, f"name{n}")))
        for n in range(2)
    ]
    await asyncio.sleep(0)
    own = asyncio.create_task(hasher.verify(None, WRONG))
    await asyncio.sleep(0)
    suspended.resume()
    await asyncio.gather(own, *flood)


async def test_overload_is_logged_once_for_many_refusals(hasher: Hasher) -> None:
    await hasher.hash(RIGHT)
    suspended = process_of(hasher)
    suspended.suspend()
    limit_queues(hasher, 0)
    working = asyncio.create_task(hasher.hash(RIGHT))
    await asyncio.sleep(0)
    with capture_logs() as logs:
        for _ in range(5):
            with pytest.raises(Overloaded):
                await hasher.hash(RIGHT)
    suspended.resume()
    await working
    assert logs == [
        {"event": "hashing_overloaded", "log_level": "warning", "refused": 1, "waiting": 0}
    ]


def limit_time_of_jobs(hasher: Hasher, seconds: float) -> None:
    for each in hasher._pool._all:
        each._time_limit = seconds


def limit_queues(hasher: Hasher, length: int) -> None:
    hasher._pool._queue = SharedQueue(length=length, known_length=length)


def test_the_default_cost_is_the_minimum_that_owasp_recommends() -> None:
    made = argon2_hasher(Argon2Cost()).hash("correct horse battery staple")
    assert made.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
