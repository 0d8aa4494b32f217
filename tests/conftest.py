from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from service.embedded_postgres import EmbeddedPostgres
from service.settings.database import DatabaseOptions
from service.settings.values import Duration
from service.storage.database import Database
from tests.databases import TestServer, searchable_directory, servers_in
from tests.oidc.stub_provider import StubProvider, running_stub
from tests.service_pool import IdleServices, ServicePool
from tests.services import PATIENCE, Service, running
from tests.smtp_server import SMTPServer, serving

# No test measures time: none fails on a busy machine.
hypothesis_settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.register_profile(
    "thorough", hypothesis_settings.get_profile("unhurried"), max_examples=3000
)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unhurried"))


# The mutation tests run without xdist.
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes test: one more than there are processors, for tests also wait."""
    return len(os.sched_getaffinity(0)) + 1


# A shell ignores Ctrl-C in what it runs in the background, and all its processes would inherit it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The directory of a PostgreSQL server that many runs share: see `tests.mutation`.
SHARED_SERVER = os.environ.get("TEST_POSTGRESQL_DIRECTORY")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[TestServer]:
    if SHARED_SERVER is not None:
        server = TestServer(Path(SHARED_SERVER))
        server.start()
        yield server
        server.stop()
        return
    with searchable_directory() as directory:
        server = TestServer(directory)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def initialised_directory() -> Iterator[Path]:
    """Return the directory of an embedded server that has been started and stopped."""
    with searchable_directory() as parent:
        directory = parent / "data"
        server = EmbeddedPostgres(directory)
        server.start()
        server.stop()
        yield directory


@pytest.fixture
def empty_directory() -> Iterator[Path]:
    """Return a path for the directory of an embedded server; nothing exists there."""
    with searchable_directory() as parent:
        yield parent / "data"
        for process in servers_in(parent):
            process.kill()
            process.wait()


@pytest.fixture
def used_directory(empty_directory: Path, initialised_directory: Path) -> Path:
    """Return the directory of an embedded server that is not running."""
    # With their owner: as root they belong to PostgreSQL's account.
    subprocess.run(["cp", "--archive", initialised_directory, empty_directory], check=True)
    return empty_directory


@pytest.fixture
def database_url(postgresql: TestServer) -> Iterator[str]:
    with postgresql.database() as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    # As in the services of tests, no time limit that a busy machine could exceed.
    patience = Duration(PATIENCE)
    options = DatabaseOptions(
        pool_timeout=patience, connect_timeout=patience, statement_timeout=patience
    )
    database = Database(database_url, options)
    yield database
    await database.close()


@pytest.fixture(scope="session")
def shared_smtp() -> Iterator[SMTPServer]:
    """Return an SMTP server that tests share: so their services can have the same environment."""
    with serving(SMTPServer()) as server:
        yield server


@pytest.fixture(scope="session")
def stub() -> Iterator[StubProvider]:
    """Return an OpenID provider that tests share."""
    with running_stub() as provider:
        yield provider


@pytest.fixture(scope="session")
def idle_services() -> Iterator[IdleServices]:
    idle = IdleServices()
    yield idle
    idle.close()


@pytest.fixture(scope="session")
def session_services(
    postgresql: TestServer, tmp_path_factory: pytest.TempPathFactory, idle_services: IdleServices
) -> Iterator[ServicePool]:
    pool = ServicePool(postgresql, tmp_path_factory.mktemp("services"), idle_services)
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def module_services(
    request: pytest.FixtureRequest,
    postgresql: TestServer,
    tmp_path_factory: pytest.TempPathFactory,
    idle_services: IdleServices,
) -> Iterator[ServicePool]:
    pool = ServicePool(postgresql, tmp_path_factory.mktemp("services"), idle_services)
    yield pool
    pool.end(request.session.testsfailed)


@pytest.fixture
def services(module_services: ServicePool, request: pytest.FixtureRequest) -> ServicePool:
    """Return services with any environment, which the tests of a module share."""
    module_services.begin_test(request.session.testsfailed)
    return module_services


@pytest.fixture
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """Return the service that all tests without the mark ``own_service`` share."""
    if request.node.get_closest_marker("own_service"):
        log = request.getfixturevalue("tmp_path") / "service.log"
        with running(request.getfixturevalue("database_url"), log) as service:
            yield service
    else:
        pool: ServicePool = request.getfixturevalue("session_services")
        pool.begin_test(request.session.testsfailed)
        yield pool.service()


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client
