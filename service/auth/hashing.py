"""Password hashes: Argon2id (RFC 9106), made and verified by processes of their own."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Collection, Sequence
from contextlib import suppress
from time import monotonic

import msgspec

from service.auth.errors import Overloaded
from service.auth.foreign_hashes import is_foreign, kind_of
from service.auth.hash_process import Argon2Cost, Job, MakeHash, Result, Verify
from service.auth.passwords import NewPassword, Password
from service.model import PasswordHash

# How long verifying takes is told by so many of the last times, and at first by so few.
REMEMBERED = 64
LEARNED_FROM = 5

NOBODYS_PASSWORD = "nobody's password"  # noqa: S105

# A job with a password of 1,024 characters, each escaped, twice.
LONGEST_LINE = 64 * 1024


class Hasher:
    """Hashes and verifies passwords in ``processes`` at low priority, which start when needed.

    At most ``queue_length`` passwords wait, and none takes longer than ``patience`` seconds, with
    hashing; whoever would have to wait is refused with `Overloaded`, for an answer that comes too
    late costs as much as one in time.
    """

    def __init__(
        self, cost: Argon2Cost, *, processes: int, queue_length: int, patience: float
    ) -> None:
        self._argon2 = cost.hasher()
        self._room = processes + queue_length
        self._patience = patience
        self._closed = False
        self._idle = [HashProcess(cost) for _ in range(processes)]
        self._all = tuple(self._idle)
        self._turns = asyncio.Semaphore(processes)
        # A hash of a random password, of the same cost: what unknown users are verified against.
        self._nobodys_hash = PasswordHash(self._argon2.hash(os.urandom(16)))
        self._times: dict[str, deque[float]] = {}

    async def hash(self, password: NewPassword) -> PasswordHash:
        """Raises `Overloaded`."""
        return PasswordHash(await self._do(MakeHash(password.prepared)))

    async def verify(self, password_hash: PasswordHash | None, password: Password) -> bool:
        """Tell whether the hash is one of the password. Without a hash it is not, in the same time.

        Raises `Overloaded`.
        """
        job = Verify(password_hash or self._nobodys_hash, password.forms, password.text)
        return bool(await self._do(job)) and password_hash is not None

    @property
    def usual_time(self) -> float:
        """The seconds that verifying takes, nearly always, with the slowest kind of hash."""
        return max((_nearly_always(times) for times in self._times.values()), default=0.0)

    @property
    def known_kinds(self) -> set[str]:
        """The kinds of hashes of which it is known how long they take."""
        return set(self._times)

    async def learn(self, hashes: Sequence[PasswordHash]) -> None:
        """Learn how long verifying takes with hashes of these kinds and ours, and forget others.

        Raises `Overloaded`.
        """
        samples = {kind_of(each): each for each in (*hashes, self._nobodys_hash)}
        for sample in samples.values():
            for _ in range(LEARNED_FROM):
                await self._do(Verify(sample, [NOBODYS_PASSWORD], NOBODYS_PASSWORD))
        self._times = {kind: times for kind, times in self._times.items() if kind in samples}

    async def rehash(self, password_hash: PasswordHash, password: Password) -> PasswordHash | None:
        """Hash a verified password anew, if ours would come out differently today.

        Raises `Overloaded`.
        """
        if password.prepared is None:
            return None
        outdated = is_foreign(password_hash) or self._argon2.check_needs_rehash(password_hash)
        # A hash that is current may still be one of another form of the password.
        if not outdated and len(password.forms) > 1:
            job = Verify(password_hash, [password.prepared], password.text)
            outdated = not await self._do(job)
        return PasswordHash(await self._do(MakeHash(password.prepared))) if outdated else None

    async def close(self) -> None:
        """End the processes, after the passwords that they are at; who waits is refused."""
        self._closed = True
        for _ in self._all:
            await self._turns.acquire()
        await asyncio.gather(*(process.stop() for process in self._all))
        for _ in self._all:
            self._turns.release()

    async def _do(self, job: Job) -> Result:
        if self._room == 0:
            raise Overloaded
        self._room -= 1
        try:
            async with asyncio.timeout(self._patience):
                await self._turns.acquire()
                # Shielded: a process whose result nobody reads would give it to the next one.
                return await asyncio.shield(asyncio.ensure_future(self._do_in_turn(job)))
        except TimeoutError as error:
            raise Overloaded from error
        finally:
            self._room += 1

    async def _do_in_turn(self, job: Job) -> Result:
        process = self._idle.pop()
        try:
            if self._closed:
                raise Overloaded
            was_warm, begun = process.is_warm, monotonic()
            result = await process.do(job)
            if was_warm and isinstance(job, Verify) and len(job.forms) == 1:
                times = self._times.setdefault(kind_of(job.password_hash), deque(maxlen=REMEMBERED))
                times.append(monotonic() - begun)
            return result
        finally:
            self._idle.append(process)
            self._turns.release()


def _nearly_always(times: Collection[float]) -> float:
    return sorted(times)[len(times) * 9 // 10]


class HashProcess:
    """One process that hashes, from this side. It is started when it is not there.

    It is warm once it has done something: the first job takes as long as starting does.
    """

    def __init__(self, cost: Argon2Cost) -> None:
        self.is_warm = False
        self._cost = cost
        self._process: Process | None = None

    async def _started(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self.is_warm = False
            self._process = await asyncio.create_subprocess_exec(
                # Not from where the service was started: another "service" may lie there.
                *(sys.executable, "-P", "-m", "service.auth.hash_process"),
                msgspec.json.encode(self._cost).decode(),
                stdin=PIPE,
                stdout=PIPE,
                limit=LONGEST_LINE,
                # Ctrl-C does not reach it then, and it can give way (see `give_way`).
                start_new_session=True,
            )
        return self._process

    async def do(self, job: Job) -> Result:
        """Have a job done; once more if the process dies of it. Raises `HashProcessDied`."""
        try:
            return await self._try(job)
        except HashProcessDied:
            return await self._try(job)

    async def stop(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await self._process.wait()

    async def _try(self, job: Job) -> Result:
        process = await self._started()
        if process.stdin is None or process.stdout is None:
            raise AssertionError("a process without pipes")
        line = b""
        with suppress(ConnectionError):
            process.stdin.write(msgspec.json.encode(job, enc_hook=str) + b"\n")
            await process.stdin.drain()
            line = await process.stdout.readline()
        if not line:
            await process.wait()
            raise HashProcessDied
        self.is_warm = True
        result: Result = msgspec.json.decode(line, type=Result)
        return result


class HashProcessDied(Exception):
    """A process ended in the midst of a job, as by a kernel that was out of memory."""
