from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from service.auth.hashing.hasher import Hasher
from service.auth.rate_limits import RateLimiter
from service.settings.passwords import Argon2Cost, HashingSettings
from service.settings.rate_limits import RateLimitSettings
from service.storage.database import Database
from tests.services import PATIENCE


@pytest.fixture
async def hasher() -> AsyncIterator[Hasher]:
    hasher = Hasher(Argon2Cost(time_cost=1, memory_kib=64), HashingSettings(), processes=1)
    yield hasher
    await hasher.close()


class MakeLimiter(Protocol):
    def __call__(self, limits: RateLimitSettings, *, timeout: float = PATIENCE) -> RateLimiter:
        """Return a limiter whose attempts wait for those in flight for ``timeout`` seconds."""


@pytest.fixture
async def make_limiter(database: Database, hasher: Hasher) -> AsyncIterator[MakeLimiter]:
    made: list[RateLimiter] = []

    def make(limits: RateLimitSettings, *, timeout: float = PATIENCE) -> RateLimiter:
        limiter = RateLimiter(database, hasher, limits, timeout=timeout, device_lifetime=3600)
        made.append(limiter)
        return limiter

    yield make
    for limiter in made:
        # On a busy machine a refund may take longer than a service that stops waits for it.
        while limiter._refunds:
            await limiter.close()
