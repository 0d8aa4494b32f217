"""Batching of look-ups: those that arrive while a batch is under way form the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from math import inf
from time import monotonic
from typing import Generic, TypeAlias, TypeVar

K = TypeVar("K")
V = TypeVar("V")

# Called with the keys and the latest deadline of those who ask for them.
BatchFunction = Callable[[list[K], float], Awaitable[Mapping[K, V]]]

# A key, the answer to it, and its deadline by `time.monotonic`.
Waiter: TypeAlias = "tuple[K, asyncio.Future[V | None], float]"

# Seconds between two looks at what waits: a deadline is kept up to one tick early.
TICK = 0.1

# A query is stuck when so many ticks have passed since it began, and others wait for it.
STUCK_TICKS = 3

# How many stuck queries the others need not wait for.
MAX_STUCK = 1


class BatcherClosed(Exception):
    """A look-up was abandoned because the service stops."""


class Batcher(Generic[K, V]):
    """Looks keys up by ``look_up``, with at most ``max_batch_size`` keys in a call.

    - Fresh: a batch is sent after every look-up in it has begun, so a look-up sees everything
      that was committed before it began.
    - Fair: look-ups are served in the order of their arrival.
    - Isolated: what ``look_up`` raises is raised by the look-ups of its batch and by no other. A
      cancelled look-up does not affect the others.
    - Punctual: no look-up lasts beyond its deadline, however many are before it. One timer serves
      all: a timer for each would cost each some microseconds.
    - Not held up: while one query is stuck, the others are sent beside it.
    """

    def __init__(
        self, look_up: BatchFunction[K, V], *, max_batch_size: int, tick: float = TICK
    ) -> None:
        self._look_up = look_up
        self._max_batch_size = max_batch_size
        self._tick_seconds = tick
        self._waiting: deque[Waiter[K, V]] = deque()
        self._is_busy = False
        # Queries follow each other in a lane. A stuck one is left behind in its lane.
        self._lane = 0
        self._stuck = 0
        self._batches: dict[int, list[Waiter[K, V]]] = {}
        self._queries = 0
        self._queries_at_tick = 0
        self._ticks_without_query = 0
        self._ticker: asyncio.TimerHandle | None = None
        self._draining: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def get(self, key: K, deadline: float = inf) -> V | None:
        """Return the value of a key, or ``None``.

        Raises what ``look_up`` raises, and `TimeoutError` when the deadline has come.
        """
        if not self._is_busy:
            return await self._look_up_one(key, deadline)
        loop = self._loop or self._remember_loop()
        answer: asyncio.Future[V | None] = loop.create_future()
        self._waiting.append((key, answer, deadline))
        if self._ticker is None:
            self._ticker = loop.call_later(self._tick_seconds, self._tick)
        return await answer

    async def close(self) -> None:
        """Cancel the batches under way. All look-ups raise `BatcherClosed`."""
        if self._ticker is not None:
            self._ticker.cancel()
        if self._draining:
            for task in self._draining:
                task.cancel()
            await asyncio.wait(self._draining)
        _fail(self._waiting, BatcherClosed())
        self._waiting.clear()

    def _remember_loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop.

        `asyncio.get_running_loop` is a system call in Python 3.11, and no longer in 3.12
        (python/cpython#100363).
        """
        self._loop = asyncio.get_running_loop()
        return self._loop

    async def _look_up_one(self, key: K, deadline: float) -> V | None:
        """Look one key up directly, without a task, while nothing else waits."""
        self._is_busy = True
        self._queries += 1
        lane = self._lane
        try:
            return (await self._look_up([key], deadline)).get(key)
        finally:
            if lane != self._lane:
                self._stuck -= 1
            elif self._waiting:
                self._start_draining()
            else:
                self._is_busy = False

    def _start_draining(self) -> None:
        loop = self._loop or self._remember_loop()
        task = loop.create_task(self._drain(self._lane))
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)

    async def _drain(self, lane: int) -> None:
        """Look up in batches until nothing waits, or the others have left this lane."""
        try:
            while self._waiting and lane == self._lane:
                await self._look_up_batch(lane, self._next_batch())
        finally:
            if lane != self._lane:
                self._stuck -= 1
            else:
                self._is_busy = False

    def _next_batch(self) -> list[Waiter[K, V]]:
        """Take the look-ups that have waited longest, without those that were cancelled."""
        size = min(len(self._waiting), self._max_batch_size)
        taken = [self._waiting.popleft() for _ in range(size)]
        return [waiter for waiter in taken if not waiter[1].done()]

    async def _look_up_batch(self, lane: int, batch: list[Waiter[K, V]]) -> None:
        if not batch:
            return
        self._batches[lane] = batch
        self._queries += 1
        latest = max([waiter[2] for waiter in batch])
        try:
            values = await self._look_up([key for key, _, _ in batch], latest)
        except Exception as error:  # noqa: BLE001
            _fail(batch, error)
        except asyncio.CancelledError:
            _fail(batch, BatcherClosed())
            raise
        else:
            for key, answer, _ in batch:
                if not answer.done():
                    answer.set_result(values.get(key))
        finally:
            del self._batches[lane]

    def _tick(self) -> None:
        """Fail the look-ups whose time is over, and leave a stuck query behind."""
        self._ticker = None
        before_next_tick = monotonic() + self._tick_seconds
        for waiters in (self._waiting, *self._batches.values()):
            late = [waiter for waiter in waiters if waiter[2] <= before_next_tick]
            _fail(late, TimeoutError())
        while self._waiting and self._waiting[0][1].done():
            self._waiting.popleft()
        is_new = self._queries != self._queries_at_tick
        self._ticks_without_query = 0 if is_new else self._ticks_without_query + 1
        self._queries_at_tick = self._queries
        if self._waiting and self._ticks_without_query >= STUCK_TICKS:
            self._leave_lane()
        if self._waiting or self._batches:
            loop = self._loop or self._remember_loop()
            self._ticker = loop.call_later(self._tick_seconds, self._tick)

    def _leave_lane(self) -> None:
        if self._stuck < MAX_STUCK:
            self._stuck += 1
            self._lane += 1
            self._start_draining()


def _fail(waiters: Iterable[Waiter[K, V]], error: Exception) -> None:
    for _, answer, _ in waiters:
        if not answer.done():
            answer.set_exception(error)
