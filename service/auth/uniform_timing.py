"""Uniform timing: refusals that take equally long, whatever their reason.

The refusal of an unknown name, a wrong password, a password hash of another system or an exhausted
rate limit is delayed to the 90th percentile of the verification time of the slowest scheme in use.
Time spent in the hashing queue counts as elapsed. Otherwise the time would reveal which names
exist, and which users came from another system.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import structlog

from service.auth.errors import InvalidCredentials, RateLimited
from service.auth.hashing.hasher import Hasher
from service.storage import keys as storage
from service.storage.database import Database

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@asynccontextmanager
async def uniform_timing(hasher: Hasher) -> AsyncIterator[None]:
    """Delay `InvalidCredentials` and `RateLimited` until verifying would usually be over."""
    started = monotonic()
    try:
        yield
    except (InvalidCredentials, RateLimited):
        await asyncio.sleep(started + hasher.p90_verify_time - monotonic())
        raise


async def measure_verify_times(database: Database, hasher: Hasher) -> None:
    """Measure how long verifying takes with each scheme in use; a background task.

    Raises `DatabaseUnavailable` and `Overloaded`.
    """
    async with database.connect() as connection:
        hashes = await storage.find_hash_of_each_scheme(connection)
    await hasher.measure(hashes)
    log.debug("verify_times_measured", p90_seconds=round(hasher.p90_verify_time, 4))
