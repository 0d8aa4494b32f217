"""Clients of the provider of tests, as the settings would make them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from service.auth.oidc.client import ProviderClient
from service.auth.oidc.flow import Flow
from service.auth.oidc.providers import Providers
from service.settings.variables import read_settings
from tests.oidc.stub_provider import StubProvider, running_stub

NONCE = "n-0S6_WzA2Mj"
FLOW = Flow(
    state="s-1",
    nonce=NONCE,
    verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    redirect_uri="https://app.example/callback",
)

Connect = Callable[..., ProviderClient]


@pytest.fixture(scope="session")
def shared_stub() -> Iterator[StubProvider]:
    with running_stub() as provider:
        yield provider


@pytest.fixture
def stub(shared_stub: StubProvider) -> StubProvider:
    shared_stub.reset()
    return shared_stub


@pytest.fixture
async def connect(stub: StubProvider) -> AsyncIterator[Connect]:
    """Make a client of the provider, with variables of the settings; it knows nothing yet."""
    made: list[Providers] = []

    def client(*, is_production: bool = False, **variables: str) -> ProviderClient:
        settings = read_settings(stub.environment(**variables))
        providers = Providers(settings.oidc, is_production=is_production)
        made.append(providers)
        return providers.get("stub")

    yield client
    for providers in made:
        await providers.close()


@pytest.fixture
def client(connect: Connect) -> ProviderClient:
    return connect()
