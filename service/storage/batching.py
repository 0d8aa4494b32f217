"""Batching of look-ups: those that arrive while a batch is under way form the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

BatchFunction = Callable[[list[K]], Awaitable[Mapping[K, V]]]


class BatcherClosed(Exception):
    """A look-up was abandoned because the service stops."""


class Batcher(Generic[K, V]):
    """Looks keys up by ``look_up``, with at most ``max_batch_size`` keys in a call.

    - Fresh: a batch is sent after every look-up in it has begun, so a look-up sees everything
      that was committed before it began.
    - Fair: look-ups are served in the order of their arrival.
    - Isolated: what ``look_up`` raises is raised by the look-ups of its batch and by no other. A
      cancelled look-up does not affect the others.
    """

    def __init__(self, look_up: BatchFunction[K, V], *, max_batch_size: int) -> None:
        self._look_up = look_up
        self._max_batch_size = max_batch_size
        self._waiting: deque[tuple[K, asyncio.Future[V | None]]] = deque()
        self._is_busy = False
        self._draining: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def get(self, key: K) -> V | None:
        """Return the value of a key, or ``None``. Raises what ``look_up`` raises."""
        if not self._is_busy:
            return await self._look_up_one(key)
        loop = self._loop or self._remember_loop()
        answer: asyncio.Future[V | None] = loop.create_future()
        self._waiting.append((key, answer))
        return await answer

    async def close(self) -> None:
        """Cancel the batch under way. All look-ups raise `BatcherClosed`."""
        if self._draining is not None:
            self._draining.cancel()
            await asyncio.wait([self._draining])
        self._fail_waiting()

    def _remember_loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop.

        `asyncio.get_running_loop` is a system call in Python 3.11, and no longer in 3.12
        (python/cpython#100363).
        """
        self._loop = asyncio.get_running_loop()
        return self._loop

    async def _look_up_one(self, key: K) -> V | None:
        """Look one key up directly, without a task, while nothing else waits."""
        self._is_busy = True
        try:
            return (await self._look_up([key])).get(key)
        finally:
            if self._waiting:
                loop = self._loop or self._remember_loop()
                self._draining = loop.create_task(self._drain())
            else:
                self._is_busy = False

    async def _drain(self) -> None:
        """Look up in batches until nothing waits."""
        try:
            while self._waiting:
                size = min(len(self._waiting), self._max_batch_size)
                await self._look_up_batch([self._waiting.popleft() for _ in range(size)])
        finally:
            self._draining = None
            self._is_busy = False
            self._fail_waiting()

    def _fail_waiting(self) -> None:
        _fail(self._waiting, BatcherClosed())
        self._waiting.clear()

    async def _look_up_batch(self, batch: list[tuple[K, asyncio.Future[V | None]]]) -> None:
        try:
            values = await self._look_up([key for key, _ in batch])
        except Exception as error:  # noqa: BLE001
            _fail(batch, error)
        except asyncio.CancelledError:
            _fail(batch, BatcherClosed())
            raise
        else:
            for key, answer in batch:
                if not answer.done():
                    answer.set_result(values.get(key))


def _fail(batch: Iterable[tuple[K, asyncio.Future[V | None]]], error: Exception) -> None:
    for _, answer in batch:
        if not answer.done():
            answer.set_exception(error)
