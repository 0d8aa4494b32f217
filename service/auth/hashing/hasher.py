"""The hasher: a bounded queue of passwords before the hash processes."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Collection, Sequence
from time import monotonic

from service.auth.errors import Overloaded
from service.auth.hashing.jobs import Hash, Job, Result, Verification, Verify
from service.auth.hashing.process import HashProcess
from service.auth.hashing.program import argon2_hasher
from service.auth.hashing.schemes import parse_password_hash
from service.auth.passwords import Password
from service.model.deadline import time_limit
from service.model.users import PasswordHash
from service.settings.passwords import Argon2Cost

# The verification times that are kept for each scheme, and those that one measurement takes.
KEPT_TIMES = 64
MEASURED_TIMES = 5

# The password that measurements verify; whether it matches is ignored.
MEASURED_TEXT = "measured"


class Hasher:
    """Hashes and verifies passwords in ``processes`` processes of low priority.

    At most ``queue_length`` passwords wait, and queueing and hashing together take at most
    ``timeout`` seconds; beyond either, `Overloaded` is raised.
    """

    def __init__(
        self, cost: Argon2Cost, *, processes: int, queue_length: int, timeout: float
    ) -> None:
        self._capacity = processes + queue_length
        self._timeout = timeout
        self._closed = False
        self._idle = [HashProcess(cost) for _ in range(processes)]
        self._all = tuple(self._idle)
        self._slots = asyncio.Semaphore(processes)
        # Verified where there is no hash: one of a random password, with the same cost.
        self._dummy_hash = parse_password_hash(argon2_hasher(cost).hash(os.urandom(16)))
        self._times: dict[str, deque[float]] = {}

    async def hash(self, password: Password) -> PasswordHash:
        """Return a hash of a password that RFC 8265 allows. Raises `Overloaded`."""
        if password.prepared is None:
            raise ValueError("the password has no prepared form")
        text = str(await self._execute(Hash(password.prepared)))
        return PasswordHash(text, self._dummy_hash.scheme)

    async def verify(self, password_hash: PasswordHash | None, password: Password) -> Verification:
        """Verify a password. Without a hash nothing matches, after the same work.

        A password that RFC 8265 does not allow never needs a rehash. Raises `Overloaded`.
        """
        used = password_hash or self._dummy_hash
        job = Verify(used.text, password.forms, password.text)
        # Only the time of one form is that of the scheme.
        timed_scheme = used.scheme if len(password.forms) == 1 else None
        verification = await self._execute(job, timed_scheme=timed_scheme)
        if not isinstance(verification, Verification):
            raise TypeError("not the result of a verification")
        return Verification(
            matches=verification.matches and password_hash is not None,
            needs_rehash=verification.needs_rehash and password.prepared is not None,
        )

    @property
    def p90_verify_time(self) -> float:
        """90th percentile of the verification time of the slowest scheme, in seconds."""
        return max((percentile_90(times) for times in self._times.values()), default=0.0)

    @property
    def is_alive(self) -> bool:
        """Whether a hash process works, or may: the last one that was tried did not die."""
        return not all(process.has_died for process in self._all)

    async def measure(self, hashes: Sequence[PasswordHash]) -> None:
        """Measure the schemes of these hashes and of the current cost, and forget all others.

        Raises `Overloaded`.
        """
        # Parsed again: the scheme that a migration stored may be finer than that of the code.
        parsed = (parse_password_hash(each.text) for each in hashes)
        samples = {each.scheme: each for each in (*parsed, self._dummy_hash)}
        for sample in samples.values():
            for _ in range(MEASURED_TIMES):
                await self.verify(sample, Password(MEASURED_TEXT))
        self._times = {scheme: times for scheme, times in self._times.items() if scheme in samples}

    async def close(self) -> None:
        """Finish the passwords under way, refuse those that wait, and stop the processes."""
        self._closed = True
        for _ in self._all:
            await self._slots.acquire()
        await asyncio.gather(*(process.stop() for process in self._all))
        for _ in self._all:
            self._slots.release()

    async def _execute(self, job: Job, *, timed_scheme: str | None = None) -> Result:
        if self._capacity == 0:
            raise Overloaded
        self._capacity -= 1
        try:
            async with time_limit(self._timeout):
                await self._slots.acquire()
                # Shielded: the result of an abandoned job must not be read as that of the next.
                execution = asyncio.ensure_future(self._execute_in_slot(job, timed_scheme))
                return await asyncio.shield(execution)
        except TimeoutError as error:
            raise Overloaded from error
        finally:
            self._capacity += 1

    async def _execute_in_slot(self, job: Job, timed_scheme: str | None) -> Result:
        process = self._idle.pop()
        try:
            if self._closed:
                raise Overloaded
            was_warm, started = process.is_warm, monotonic()
            result = await process.execute(job)
            if was_warm and timed_scheme is not None:
                self._keep_time(timed_scheme, monotonic() - started)
            return result
        finally:
            self._idle.append(process)
            self._slots.release()

    def _keep_time(self, scheme: str, seconds: float) -> None:
        self._times.setdefault(scheme, deque(maxlen=KEPT_TIMES)).append(seconds)


def percentile_90(values: Collection[float]) -> float:
    """Return the 90th percentile of at least one value."""
    return sorted(values)[len(values) * 9 // 10]
