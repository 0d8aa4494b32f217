"""Clients of the provider of tests, as the settings would make them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from time import monotonic
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.auth.errors import InvalidCredentials, ProviderUnavailable
from service.auth.oidc import cached, failures, fetching, outages
from service.auth.oidc.client import ProviderClient
from service.auth.oidc.flow import Flow
from service.auth.oidc.providers import Providers
from service.model.identities import ProvenIdentity
from service.settings.variables import read_settings
from tests.oidc.stub_provider import StubProvider, running_stub
from tests.services import PATIENCE, UNUSED_TLS

NONCE = "n-0S6_WzA2Mj"
FLOW = Flow(
    state="s-1",
    nonce=NONCE,
    verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    redirect_uri="https://app.example/callback",
)

Connect = Callable[..., ProviderClient]
Events = list[MutableMapping[str, Any]]


@pytest.fixture(scope="session")
def shared_stub() -> Iterator[StubProvider]:
    with running_stub() as provider:
        yield provider


@pytest.fixture
def stub(shared_stub: StubProvider) -> StubProvider:
    shared_stub.reset()
    return shared_stub


@pytest.fixture(autouse=True)
def no_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load no certificate authorities: nothing here uses TLS, and they take longer than a test."""
    monkeypatch.setattr("ssl.create_default_context", lambda: UNUSED_TLS)


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


@pytest.fixture
def events() -> Iterator[Events]:
    """Return what is logged during the test."""
    with capture_logs() as logged:
        yield logged


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set no time limit that a busy machine could exceed."""
    for module in (failures, cached, fetching):
        monkeypatch.setattr(module, "TIME_LIMIT", PATIENCE)
    monkeypatch.setattr(cached, "REFRESH_LIMIT", PATIENCE)


@pytest.fixture
def hurry(no_hurry: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a request to a provider have a quarter of a second in all."""
    monkeypatch.setattr(failures, "TIME_LIMIT", 0.25)
    monkeypatch.setattr(cached, "TIME_LIMIT", 0.25)


Pass = Callable[[float], None]


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Pass:
    """Let seconds pass for what is remembered of providers."""

    def pass_seconds(seconds: float) -> None:
        later = monotonic() + seconds
        for module in (cached, outages):
            monkeypatch.setattr(module, "monotonic", lambda: later)

    return pass_seconds


async def log_in(client: ProviderClient, stub: StubProvider, **claims: Any) -> ProvenIdentity:
    """Log in by a code that gives an ID token with these claims."""
    return await client.redeem(stub.code_for(**{"nonce": NONCE} | claims), FLOW)


async def assert_refused(attempt: Awaitable[object]) -> None:
    with pytest.raises(InvalidCredentials):
        await attempt


async def assert_unavailable(attempt: Awaitable[object]) -> None:
    with pytest.raises(ProviderUnavailable):
        await attempt
