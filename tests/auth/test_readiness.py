from __future__ import annotations

from typing import cast

import pytest

from service.auth.errors import HashingUnavailable
from service.auth.hashing.hasher import Hasher
from service.auth.readiness import Readiness
from service.bootstrap import never
from service.storage.database import Database


class Hashing:
    """What the check asks of a hasher."""

    def __init__(self) -> None:
        self.is_alive = True


async def test_without_a_hash_process_the_service_is_not_ready(database: Database) -> None:
    hashing = Hashing()
    readiness = Readiness(database, cast("Hasher", hashing), never)
    await readiness.check()
    hashing.is_alive = False
    with pytest.raises(HashingUnavailable):
        await readiness.check()
    hashing.is_alive = True
    await readiness.check()
