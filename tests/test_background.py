from __future__ import annotations

import asyncio

from service.background import cancel_and_wait, run_periodically
from service.storage.database import DatabaseUnavailable
from tests.services import PATIENCE


async def test_a_task_runs_again_after_any_error() -> None:
    faults = [DatabaseUnavailable("for a moment"), ZeroDivisionError()]
    done = asyncio.Event()

    async def chore() -> None:
        if faults:
            raise faults.pop()
        done.set()

    task = asyncio.create_task(run_periodically("chore", chore, interval=0.001))
    async with asyncio.timeout(PATIENCE):
        await done.wait()
        await cancel_and_wait([task])
    assert task.cancelled()


async def test_a_task_that_translates_its_cancellation_is_stopped() -> None:
    begun = asyncio.Event()

    async def chore() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise DatabaseUnavailable("broken off") from None

    task = asyncio.create_task(run_periodically("chore", chore, interval=60))
    async with asyncio.timeout(PATIENCE):
        await begun.wait()
        await cancel_and_wait([task])
    assert task.cancelled()
