"""What is done now and then, beside answering requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import structlog

from service.auth.errors import DatabaseUnavailable, Overloaded

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def keep_doing(name: str, chore: Callable[[], Awaitable[object]], interval: float) -> None:
    """Do a chore at once and every ``interval`` seconds, until cancelled.

    A database that is away is waited for. So is whoever mends a defect, which is told each time.
    """
    while True:
        try:
            await chore()
        except (DatabaseUnavailable, Overloaded) as error:
            log.warning("chore_failed", chore=name, reason=str(error) or type(error).__name__)
        except Exception:
            log.exception("chore_failed", chore=name)
        await asyncio.sleep(interval)


async def stop_doing(chores: Iterable[asyncio.Task[None]]) -> None:
    """Cancel chores until they end: a driver may take the first time for a fault of its own."""
    running = set(chores)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=0.1)
