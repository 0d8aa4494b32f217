from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.generators import GENERATORS, Generator
from tests.clients.workshop import Client, Workshop
from tests.service_pool import ServicePool


@pytest.fixture(scope="session")
def workshop(
    request: pytest.FixtureRequest,
    session_services: ServicePool,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Workshop]:
    """Return where the clients are made that the chosen tests need."""
    functions = [item for item in request.session.items if isinstance(item, pytest.Function)]
    wanted = {each.callspec.params["generator"] for each in functions if hasattr(each, "callspec")}
    present = [each for each in GENERATORS if each in wanted and not each.missing]
    directory = tmp_path_factory.mktemp("clients")
    url = f"{session_services.service().url}/openapi.json"
    workshop = Workshop(directory, url, present)
    yield workshop
    workshop.close()


@pytest.fixture(scope="session", params=GENERATORS, ids=lambda each: each.slug)
def generator(request: pytest.FixtureRequest) -> Generator:
    found: Generator = request.param
    if found.missing:
        pytest.skip(f"{' and '.join(found.missing)} of Java 17 are not installed")
    return found


@pytest.fixture(scope="session")
def generated(workshop: Workshop, generator: Generator) -> Client:
    """Return a client, generated from the document of a running service."""
    return workshop.generated(generator)


@pytest.fixture(scope="session")
def compiled(workshop: Workshop, generator: Generator) -> Client:
    """Return a client that compiles strictly, as does the program that uses it."""
    return workshop.compiled(generator)
