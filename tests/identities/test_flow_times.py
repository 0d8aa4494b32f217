"""How long a provider is waited for, in all, and what it leaves of a request's time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from service.auth.errors import ProviderUnavailable
from service.auth.identities import flows as module
from service.auth.identities.flow_secrets import FlowClient, FlowSecret
from service.auth.identities.flow_states import FlowPurpose, FlowStates, FlowSubject
from service.auth.identities.flows import Callback, Completed, Flows
from service.auth.oidc.flow import Flow
from service.auth.oidc.providers import Providers
from service.auth.secret_keys import Keyring
from service.model.deadline import deadline, start_deadline
from service.model.identities import ProvenIdentity
from service.settings.oidc import OIDCProvider, OIDCSettings
from service.settings.secret_keys import SecretKeys
from service.settings.variables import read_settings
from service.storage.database import Database
from tests.identities.conftest import CALLBACK, environment_for
from tests.oidc.stub_provider import StubProvider
from tests.services import SECRET_KEYS

STATES = FlowStates(Keyring(SecretKeys.parse(SECRET_KEYS)))
SECRET = FlowSecret.issue(FlowClient.NATIVE)
PROVEN = ProvenIdentity(issuer="https://issuer.example", subject="7")


class Client:
    """A client of a provider that answers when ``answered`` is set."""

    def __init__(self, provider: OIDCProvider, answered: asyncio.Event) -> None:
        self.provider = provider
        self._answered = answered

    async def require_issuer(self, iss: str | None) -> None:
        """Accept any issuer."""

    async def redeem(self, code: str, flow: Flow) -> ProvenIdentity:
        await self._answered.wait()
        return PROVEN


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch, provider: StubProvider) -> asyncio.Event:
    event = asyncio.Event()
    settings = read_settings(environment_for(provider)).oidc.providers["stub"]
    monkeypatch.setattr(Providers, "get", lambda *_: Client(settings, event))
    return event


async def complete(database: Database, provider: StubProvider) -> Completed:
    settings = read_settings(environment_for(provider)).oidc.providers["stub"]
    subject = FlowSubject(provider=settings, purpose=FlowPurpose.LOG_IN)
    state = STATES.issue(subject, CALLBACK, SECRET, datetime.now(UTC)).flow.state
    flows = Flows(database, Providers(OIDCSettings(), is_production=False), STATES)
    answer = Callback(state=state, code="c")
    return await flows.complete("stub", FlowPurpose.LOG_IN, answer, [SECRET])


async def test_all_that_a_provider_is_asked_has_one_limit(
    database: Database,
    provider: StubProvider,
    answered: asyncio.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "TIME_LIMIT", 0.05)
    with pytest.raises(ProviderUnavailable):
        await asyncio.wait_for(complete(database, provider), timeout=30)
    assert not answered.is_set()


async def test_the_time_of_a_provider_is_given_back_to_the_request(
    database: Database,
    provider: StubProvider,
    answered: asyncio.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered.set()
    times = iter([100.0, 103.0])
    monkeypatch.setattr(module, "monotonic", lambda: next(times))
    start_deadline(60)
    before = deadline()
    completed = await complete(database, provider)
    assert completed.identity == PROVEN
    assert deadline() == before + 3
