"""What is over is swept away in small batches: dead sessions, and attempts that came back."""

from __future__ import annotations

import structlog

from service.storage import attempts as attempt_storage
from service.storage import sessions as storage
from service.storage.database import Database

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Pages of the table in one batch: some ten thousands of rows, a few milliseconds.
PAGES = 256

ATTEMPTS = 10_000


async def sweep(database: Database) -> int:
    """Delete all dead sessions, unless another process is at it; tell how many there were.

    Raises `DatabaseUnavailable`; what was swept until then stays swept.
    """
    async with database.connect() as connection:
        pages = await storage.count_pages(connection)
    swept = 0
    for first in range(0, pages, PAGES):
        async with database.transaction() as connection:
            batch = await storage.sweep_pages(connection, first, first + PAGES)
        if batch is None:
            break
        swept += batch
    return swept


async def sweep_attempts(database: Database) -> None:
    """Forget who failed long ago. Raises `DatabaseUnavailable`."""
    swept = ATTEMPTS
    while swept == ATTEMPTS:
        async with database.connect() as connection:
            swept = await attempt_storage.sweep_attempts(connection, ATTEMPTS)


async def sweep_all(database: Database) -> None:
    """Sweep sessions and attempts, as a chore. Raises `DatabaseUnavailable`."""
    if swept := await sweep(database):
        log.info("sessions_swept", sessions=swept)
    await sweep_attempts(database)
