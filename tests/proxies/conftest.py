from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.proxies.application import Application, serving_application
from tests.proxies.proxied import Proxied
from tests.proxies.recipes import HOST, RECIPES, Recipe, policies
from tests.proxies.running import Proxies
from tests.service_pool import ServicePool
from tests.services import Service


@pytest.fixture(scope="module", params=RECIPES, ids=lambda recipe: recipe.name)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    found: Recipe = request.param
    return found


@pytest.fixture(scope="module")
def policies_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policies") / "policies.json"
    path.write_text(policies(), encoding="utf-8")
    return path


@pytest.fixture
def service(services: ServicePool, policies_file: Path) -> Service:
    """Return a service in production, so that its cookies have their names."""
    return services.service(
        {
            "OSTIARY_ENV": "production",
            "OSTIARY_TRUSTED_PROXIES": "127.0.0.1",
            "OSTIARY_VERIFY_POLICIES_FILE": str(policies_file),
        }
    )


@pytest.fixture(scope="module")
def application() -> Iterator[Application]:
    with serving_application() as application:
        yield application


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return Authority(tmp_path_factory.mktemp("certificates"), "authority").issue(HOST)


@pytest.fixture
def replaced(request: pytest.FixtureRequest) -> dict[str, str]:
    """Return what is changed in the recipe: nothing, unless a test says it."""
    texts: dict[str, str] = getattr(request, "param", {})
    return texts


@pytest.fixture(scope="module")
def proxies(
    recipe: Recipe, application: Application, certificate: tuple[Path, Path]
) -> Iterator[Proxies]:
    """Return the proxies of one kind that the tests of a module share."""
    with ExitStack() as stack:
        yield Proxies(recipe, application, certificate, stack)


@pytest.fixture
def proxied(
    proxies: Proxies, replaced: dict[str, str], service: Service, application: Application
) -> Proxied:
    """Return a proxy before the application, which asks the service."""
    proxied = proxies.before(service, replaced)
    application.seen.clear()
    return proxied
