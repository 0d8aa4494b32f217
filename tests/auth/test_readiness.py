from __future__ import annotations

import asyncio
import gc
from typing import Any, cast

import pytest

from service.auth import readiness as module
from service.auth.errors import DatabaseUnavailable, HashingUnavailable
from service.auth.hashing.hasher import Hasher
from service.auth.readiness import Readiness
from service.bootstrap import never
from service.model.deadline import start_deadline
from service.settings.database import DatabaseOptions
from service.settings.values import Duration
from service.storage.database import Database
from tests.databases import locked, wait_for_lock_waiters
from tests.services import PATIENCE


class Hashing:
    """What the check asks of a hasher."""

    def __init__(self) -> None:
        self.is_alive = True


@pytest.fixture
def hashing() -> Hashing:
    return Hashing()


@pytest.fixture
def readiness(database: Database, hashing: Hashing) -> Readiness:
    return Readiness(database, cast("Hasher", hashing), never)


async def test_without_a_hash_process_the_service_is_not_ready(
    readiness: Readiness, hashing: Hashing
) -> None:
    await readiness.check()
    hashing.is_alive = False
    with pytest.raises(HashingUnavailable):
        await readiness.check()
    hashing.is_alive = True
    await readiness.check()


async def test_a_database_that_does_not_answer_in_time_is_unavailable(
    database_url: str, hashing: Hashing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a statement of a request may take."""
    monkeypatch.setattr(module, "CHECK_TIMEOUT", 0.01)
    patient = Database(database_url, DatabaseOptions(statement_timeout=Duration(10 * PATIENCE)))
    readiness = Readiness(patient, cast("Hasher", hashing), never)
    with (
        locked(database_url, "alembic_version"),
        pytest.raises(DatabaseUnavailable, match="no answer in time"),
    ):
        async with asyncio.timeout(PATIENCE):
            await readiness.check()
    await patient.close()


async def test_a_check_is_not_bound_by_the_deadline_of_the_request_that_began_it(
    readiness: Readiness,
) -> None:
    """Other requests get its result."""

    async def check_at_the_deadline() -> None:
        start_deadline(0)
        await readiness.check()

    await asyncio.create_task(check_at_the_deadline())


async def test_the_failure_of_an_abandoned_check_is_not_logged_by_asyncio(
    readiness: Readiness, hashing: Hashing, database_url: str
) -> None:
    """Asyncio logs the traceback of every exception that is not retrieved."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    hashing.is_alive = False
    with locked(database_url, "alembic_version"):
        abandoned = asyncio.create_task(readiness.check())
        await asyncio.to_thread(wait_for_lock_waiters, database_url)
        check = readiness._under_way
        assert check is not None
        abandoned.cancel()
        with pytest.raises(asyncio.CancelledError):
            await abandoned
    await asyncio.wait([check])
    del check
    gc.collect()
    assert reported == []
