"""Background tasks: work that is done periodically, beside serving requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import structlog

from service.auth.errors import DatabaseUnavailable, Overloaded

# Maximum time until a task runs again that met an unavailable database or a full hashing queue, in
# seconds.
RETRY_INTERVAL = 5.0

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def run_periodically(
    name: str,
    task: Callable[[], Awaitable[object]],
    interval: float,
    wait: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Run ``task`` at once and then every ``interval`` seconds, until cancelled.

    ``wait`` waits for so many seconds, or less if there is something to do.

    An unavailable database or a full hashing queue is logged as a warning, and the task runs again
    soon. Other errors are logged with a traceback, and the task runs again in its turn.
    """
    while True:
        pause = interval
        try:
            await task()
        except (DatabaseUnavailable, Overloaded) as error:
            log.warning("background_task_failed", task=name, reason=str(error))
            pause = min(interval, RETRY_INTERVAL)
        except Exception:
            log.exception("background_task_failed", task=name)
        await wait(pause)


async def cancel_and_wait(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until they end.

    One cancellation may not be enough: asyncpg can answer it with an error of its own, or lose it
    (MagicStack/asyncpg#1310 and #873, open with 0.32).
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=0.1)
