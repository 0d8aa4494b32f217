"""Many look-ups in one question: while one batch is being asked for, the next one gathers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

Ask = Callable[[list[K]], Awaitable[Mapping[K, V]]]


class Closed(Exception):
    """A question was broken off, since the service stops."""


class Coalesced(Generic[K, V]):
    """Looks keys up by ``ask``, which is given at most ``most`` of them at once.

    - Fresh: a question is asked after every look-up in it has begun, so that what was true before
      a look-up is seen by it.
    - Fair: look-ups are asked for in the order in which they came.
    - Apart: what a question raises is raised by the look-ups in it and by no other. A look-up that
      is cancelled leaves the others alone.
    """

    def __init__(self, ask: Ask[K, V], *, most: int) -> None:
        self._ask = ask
        self._most = most
        self._waiting: deque[tuple[K, asyncio.Future[V | None]]] = deque()
        self._is_asking = False
        self._asking_for_all: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def get(self, key: K) -> V | None:
        """The value of a key, or nothing. Raises what ``ask`` raises."""
        if not self._is_asking:
            return await self._ask_for_one(key)
        loop = self._loop or self._meet_loop()
        answer: asyncio.Future[V | None] = loop.create_future()
        self._waiting.append((key, answer))
        return await answer

    async def close(self) -> None:
        """Break off the question that is being asked. Who waits for an answer gets `Closed`."""
        if self._asking_for_all is not None:
            self._asking_for_all.cancel()
            await asyncio.wait([self._asking_for_all])
        self._refuse_waiting()

    def _meet_loop(self) -> asyncio.AbstractEventLoop:
        """The running loop, which Python 3.11 asks the kernel to confirm: once is enough."""
        self._loop = asyncio.get_running_loop()
        return self._loop

    async def _ask_for_one(self, key: K) -> V | None:
        """Ask without a detour, as long as there is nobody to gather."""
        self._is_asking = True
        try:
            return (await self._ask([key])).get(key)
        finally:
            if self._waiting:
                loop = self._loop or self._meet_loop()
                self._asking_for_all = loop.create_task(self._ask_for_all())
            else:
                self._is_asking = False

    async def _ask_for_all(self) -> None:
        try:
            while self._waiting:
                size = min(len(self._waiting), self._most)
                await self._ask_for([self._waiting.popleft() for _ in range(size)])
        finally:
            self._asking_for_all = None
            self._is_asking = False
            self._refuse_waiting()

    def _refuse_waiting(self) -> None:
        _refuse(self._waiting, Closed())
        self._waiting.clear()

    async def _ask_for(self, batch: list[tuple[K, asyncio.Future[V | None]]]) -> None:
        try:
            values = await self._ask([key for key, _ in batch])
        except Exception as error:  # noqa: BLE001
            _refuse(batch, error)
        except asyncio.CancelledError:
            _refuse(batch, Closed())
            raise
        else:
            for key, answer in batch:
                if not answer.done():
                    answer.set_result(values.get(key))


def _refuse(batch: Iterable[tuple[K, asyncio.Future[V | None]]], error: Exception) -> None:
    for _, answer in batch:
        if not answer.done():
            answer.set_exception(error)
