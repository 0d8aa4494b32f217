from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Literal

import httpx
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from service.app import limits_of
from service.settings import Settings
from service.storage.database import Database
from tests.databases import TestServer, execute
from tests.services import Service, running

# No test is about time: a machine that is busy makes none fail.
hypothesis_settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.register_profile(
    "thorough", hypothesis_settings.get_profile("unhurried"), max_examples=3000
)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unhurried"))


# Where many short runs follow each other, they share a server, and the tests of one a database and
# a service: `tests.mutation` says so.
SHARED_SERVER = os.environ.get("TEST_POSTGRESQL_DIRECTORY")


def _scope(fixture_name: str, config: pytest.Config) -> Literal["session", "function"]:
    return "session" if SHARED_SERVER else "function"


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    server = TestServer(
        Path(SHARED_SERVER) if SHARED_SERVER else tmp_path_factory.mktemp("postgresql")
    )
    server.start()
    yield server
    server.embedded.stop()


@pytest.fixture(scope=_scope)
def migrated_url(postgresql: TestServer) -> Iterator[str]:
    with postgresql.database() as url:
        yield url


@pytest.fixture
def database_url(migrated_url: str) -> str:
    if SHARED_SERVER:
        execute(migrated_url, 'TRUNCATE "user", attempt CASCADE')
    return migrated_url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, limits_of(Settings()))
    yield database
    await database.close()


@pytest.fixture(scope=_scope)
def running_service(
    migrated_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    with running(migrated_url, tmp_path_factory.mktemp("service") / "service.log") as service:
        yield service


@pytest.fixture
def service(database_url: str, running_service: Service) -> Service:
    if SHARED_SERVER:
        os.truncate(running_service.log, 0)
    return running_service


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client
