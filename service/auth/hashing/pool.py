"""The hash processes of a worker, and the queue before them."""

from __future__ import annotations

import asyncio
import random
from time import monotonic

import structlog
from msgspec import Struct

from service.auth.errors import Overloaded
from service.auth.hashing.fair_queue import Requester, SharedQueue, Turn
from service.auth.hashing.jobs import Failed, Hashed, Job, Verified
from service.auth.hashing.process import HashProcess, HashProcessDied
from service.metrics import HASH_QUEUE_LENGTH, HASH_SECONDS, HASH_WAIT_SECONDS, HASHES_REFUSED
from service.model.deadline import time_limit
from service.settings.passwords import Argon2Cost, HashingSettings

# Maximum time that `HashPool.close` leaves to the jobs under way, in seconds.
CLOSE_TIMEOUT = 2.0

# How long a refusal is delayed on average, in seconds.
REFUSAL_PAUSE = 1.0

# Minimum time between two log lines that say that passwords are refused, in seconds.
LOG_INTERVAL = 10.0

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Executed(Struct, frozen=True, kw_only=True):
    """The result of a job, and how long it took without the wait for its turn, in seconds.

    ``was_warm`` is false if the time includes the start of a process.
    """

    result: Hashed | Verified
    seconds: float
    was_warm: bool


class HashPool:
    """Executes jobs, each in its turn.

    A job that has no turn, or no result in time, raises `Overloaded`.
    """

    def __init__(self, cost: Argon2Cost, settings: HashingSettings, processes: int) -> None:
        self._all = [HashProcess(cost, settings.time_limit) for _ in range(processes)]
        self._idle = list(self._all)
        self._queue = SharedQueue(
            length=settings.queue_length, known_length=settings.known_queue_length
        )
        self._turns: dict[Turn, asyncio.Future[HashProcess]] = {}
        self._running: set[asyncio.Task[Executed]] = set()
        self._timeout = float(settings.queue_timeout)
        self._is_closed = False
        self._refused = 0
        self._logged_at = -LOG_INTERVAL

    @property
    def is_alive(self) -> bool:
        """Whether a process works, or none has been tried; however long the queue is."""
        return not all(process.has_failed for process in self._all)

    async def execute(self, job: Job, requester: Requester, *, expected: float) -> Executed:
        """Return the result of a job that is expected to take so many seconds."""
        try:
            async with time_limit(self._timeout):
                asked = monotonic()
                process = await self._process_for(Turn(requester, expected))
                HASH_WAIT_SECONDS.observe(monotonic() - asked)
                # Shielded: the result of an abandoned job must not be read as that of the next.
                return await asyncio.shield(self._start(process, job))
        except TimeoutError as error:
            self._log_refusal()
            raise Overloaded from error

    async def require_place(self, requester: Requester) -> None:
        """Raise `Overloaded` if a job would have no place, before anything else is done for it.

        The refusal is paused: clients that retry at once would keep the processors from hashing.
        """
        if not self._idle and not self._queue.has_place_for(Turn(requester, 0.0)):
            self._log_refusal()
            # Not all at once: those that are refused together would come again together.
            await asyncio.sleep(REFUSAL_PAUSE * random.uniform(0.5, 1.5))  # noqa: S311
            raise Overloaded

    async def close(self) -> None:
        """Refuse the jobs that wait, finish those under way, and stop the processes."""
        self._is_closed = True
        for turn in self._queue:
            self._refuse(turn)
        if self._running:
            await asyncio.wait(self._running, timeout=CLOSE_TIMEOUT)
        await asyncio.gather(*(process.stop() for process in self._all))
        if self._running:
            await asyncio.wait(self._running)

    async def _process_for(self, turn: Turn) -> HashProcess:
        """Wait for a process."""
        if self._is_closed:
            raise Overloaded
        if self._idle:
            return self._idle.pop()
        granted: asyncio.Future[HashProcess] = asyncio.get_running_loop().create_future()
        self._turns[turn] = granted
        excess = self._queue.add(turn)
        if excess is not None:
            self._log_refusal()
            self._refuse(excess)
        HASH_QUEUE_LENGTH.set(len(self._queue))
        try:
            return await granted
        except asyncio.CancelledError:
            self._give_up(turn, granted)
            raise

    def _give_up(self, turn: Turn, granted: asyncio.Future[HashProcess]) -> None:
        self._turns.pop(turn, None)
        self._queue.discard(turn)
        HASH_QUEUE_LENGTH.set(len(self._queue))
        # It was granted at the same moment.
        if not granted.cancelled() and granted.exception() is None:
            self._hand_on(granted.result())

    def _refuse(self, turn: Turn) -> None:
        self._queue.discard(turn)
        granted = self._turns.pop(turn)
        if not granted.done():
            granted.set_exception(Overloaded())

    def _hand_on(self, process: HashProcess) -> None:
        """Let the next job have a process."""
        granted = self._next_granted()
        if granted is None:
            self._idle.append(process)
        else:
            granted.set_result(process)
        HASH_QUEUE_LENGTH.set(len(self._queue))

    def _next_granted(self) -> asyncio.Future[HashProcess] | None:
        """Take the next job that still waits from the queue; return what it waits for."""
        while (turn := self._queue.take()) is not None:
            granted = self._turns.pop(turn)
            if not granted.done():
                return granted
        return None

    def _start(self, process: HashProcess, job: Job) -> asyncio.Task[Executed]:
        task = asyncio.create_task(self._execute(process, job))
        self._running.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[Executed]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            # asyncio logs exceptions that are not retrieved, such as that of an abandoned job.
            task.exception()

    async def _execute(self, process: HashProcess, job: Job) -> Executed:
        try:
            starts, started = process.starts, monotonic()
            result = await process.execute(job)
            seconds = monotonic() - started
        except HashProcessDied as error:
            if not self._is_closed:
                log.warning("hash_process_died", reason=str(error))
            raise Overloaded from error
        finally:
            self._hand_on(process)
        if isinstance(result, Failed):
            log.warning("hashing_failed", reason=result.reason)
            raise Overloaded
        HASH_SECONDS.observe(seconds)
        return Executed(result=result, seconds=seconds, was_warm=process.starts == starts)

    def _log_refusal(self) -> None:
        """Count a refused password; log now and then how many there were since the last time."""
        self._refused += 1
        HASHES_REFUSED.add()
        if monotonic() - self._logged_at >= LOG_INTERVAL:
            log.warning("hashing_overloaded", refused=self._refused, waiting=len(self._queue))
            self._refused, self._logged_at = 0, monotonic()
