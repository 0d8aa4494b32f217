from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from service.auth.hashing.hasher import Hasher
from service.settings.passwords import Argon2Cost, HashingSettings


@pytest.fixture
async def hasher() -> AsyncIterator[Hasher]:
    hasher = Hasher(Argon2Cost(time_cost=1, memory_kib=64), HashingSettings(), processes=1)
    yield hasher
    await hasher.close()
