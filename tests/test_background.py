from __future__ import annotations

import asyncio

from service.background import cancel_and_wait, run_periodically
from service.storage.errors import DatabaseUnavailable
from tests.services import PATIENCE


async def test_a_task_runs_again_after_any_error() -> None:
    errors = [DatabaseUnavailable("for a moment"), ZeroDivisionError()]
    done = asyncio.Event()

    async def work() -> None:
        if errors:
            raise errors.pop()
        done.set()

    task = asyncio.create_task(run_periodically("work", work, interval=0.001))
    async with asyncio.timeout(PATIENCE):
        await done.wait()
        await cancel_and_wait([task])
    assert task.cancelled()


async def test_a_task_that_translates_its_cancellation_is_stopped() -> None:
    started = asyncio.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise DatabaseUnavailable("cancelled") from None

    task = asyncio.create_task(run_periodically("work", work, interval=60))
    async with asyncio.timeout(PATIENCE):
        await started.wait()
        await cancel_and_wait([task])
    assert task.cancelled()
