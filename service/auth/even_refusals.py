"""Refusals that take equally long, whatever the reason is.

A name that nobody has, a wrong password, a hash that another system made and an attempt too many
are each answered no sooner than the slowest kind of hash takes to verify. Otherwise the time would
tell which names there are, and whose accounts were moved here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import structlog

from service.auth.errors import InvalidCredentials, RateLimited
from service.auth.hashing import Hasher
from service.storage import users as storage
from service.storage.database import Database

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@asynccontextmanager
async def even_refusals(hasher: Hasher) -> AsyncIterator[None]:
    """Hold `InvalidCredentials` and `RateLimited` back until verifying would usually be over."""
    begun = monotonic()
    try:
        yield
    except (InvalidCredentials, RateLimited):
        await asyncio.sleep(begun + hasher.usual_time - monotonic())
        raise


async def learn_times(database: Database, hasher: Hasher) -> None:
    """Learn how long verifying takes with the hashes that users have, as a chore.

    Raises `DatabaseUnavailable` and `Overloaded`.
    """
    async with database.connect() as connection:
        hashes = await storage.find_hashes_of_each_kind(connection)
    await hasher.learn(hashes)
    log.debug("times_learned", usual_seconds=round(hasher.usual_time, 4))
