"""Uniform timing: refusals that take equally long, whatever their reason.

A refused password takes as many runs of whatever scheme as it has forms, and is then delayed until
so many runs of the slowest scheme in use would have ended (90th percentile). Only the work counts
as elapsed, not the wait for it: the slowest scheme would stand out when passwords queue. The
refusal of an exhausted rate limit is delayed by one run. Otherwise the time would reveal which
names exist, and which users came from another system.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import structlog

from service.auth.errors import RateLimited
from service.auth.hashing.hasher import Hasher, Verification
from service.auth.passwords import Password
from service.storage import keys as storage
from service.storage.database import Database

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def delay_refusal(hasher: Hasher, verification: Verification, password: Password) -> None:
    """Wait until verifying a password that matched nothing would have ended with any scheme."""
    await asyncio.sleep(hasher.refusal_time(password) - verification.seconds)


@asynccontextmanager
async def uniform_timing(hasher: Hasher) -> AsyncIterator[None]:
    """Delay `RateLimited` until verifying would usually be over."""
    started = monotonic()
    try:
        yield
    except RateLimited:
        await asyncio.sleep(started + hasher.refusal_time() - monotonic())
        raise


async def measure_verify_times(database: Database, hasher: Hasher) -> None:
    """Measure how long verifying takes with each scheme in use; a background task.

    Raises `DatabaseUnavailable` and `Overloaded`.
    """
    async with database.connect() as connection:
        hashes = await storage.find_hash_of_each_scheme(connection)
    await hasher.measure(hashes)
    log.debug("verify_times_measured", p90_seconds=round(hasher.refusal_time(), 4))
