"""How long a provider is waited for, in all, and what it leaves of a request's time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.auth.errors import ProviderUnavailable
from service.auth.identities import flows as module
from service.auth.identities.flow_secrets import FlowClient, FlowSecret
from service.auth.identities.flow_states import FlowPurpose, FlowStates, FlowSubject
from service.auth.identities.flows import Callback, Completed, Flows
from service.auth.oidc import failures
from service.auth.oidc.failures import provider_request
from service.auth.oidc.flow import Flow
from service.auth.oidc.providers import Providers
from service.auth.secret_keys import Keyring
from service.model import deadline as deadlines
from service.model.deadline import deadline, start_deadline
from service.model.identities import ProvenIdentity
from service.settings.oidc import OIDCProvider, OIDCSettings
from service.settings.secret_keys import SecretKeys
from service.settings.variables import read_settings
from service.storage.claimed_nonces import claim_nonce
from service.storage.database import Database
from tests.identities.conftest import CALLBACK, environment_for
from tests.oidc.stub_provider import TOKEN, StubProvider
from tests.oidc.stub_server import Answer
from tests.services import PATIENCE, SECRET_KEYS

STATES = FlowStates(Keyring(SecretKeys.parse(SECRET_KEYS)))
SECRET = FlowSecret.issue(FlowClient.NATIVE)
PROVEN = ProvenIdentity(issuer="https://issuer.example", subject="7")


class Clock:
    """A clock that stands still, but for what a provider takes."""

    def __init__(self) -> None:
        self.now = float(int(monotonic()))

    def __call__(self) -> float:
        return self.now


class Client:
    """A client of a provider that answers when ``answered`` is set, and takes three seconds."""

    def __init__(self, provider: OIDCProvider, answered: asyncio.Event, clock: Clock) -> None:
        self.provider = provider
        self._answered = answered
        self._clock = clock

    async def require_issuer(self, iss: str | None) -> None:
        """Accept any issuer."""

    async def redeem(self, code: str, flow: Flow) -> ProvenIdentity:
        async with provider_request(self.provider.name):
            await self._answered.wait()
        self._clock.now += 3
        return PROVEN


@pytest.fixture(autouse=True)
def no_other_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no request to a provider have a limit of its own that is reached here."""
    monkeypatch.setattr(failures, "TIME_LIMIT", 10 * PATIENCE)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def answered(
    monkeypatch: pytest.MonkeyPatch, provider: StubProvider, clock: Clock
) -> asyncio.Event:
    event = asyncio.Event()
    settings = read_settings(environment_for(provider)).oidc.providers["stub"]
    monkeypatch.setattr(Providers, "get", lambda *_: Client(settings, event, clock))
    return event


@pytest.fixture
def little_time(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """Let a provider have one second, from when its flow is used up, however long that takes."""

    async def claim(*arguments: Any, **named: Any) -> bool:
        is_claimed = await claim_nonce(*arguments, **named)
        clock.now += PATIENCE - 1
        return is_claimed

    monkeypatch.setattr(module, "TIME_LIMIT", PATIENCE)
    monkeypatch.setattr(module, "claim_nonce", claim)
    monkeypatch.setattr(deadlines, "monotonic", clock)


async def complete(
    database: Database, provider: StubProvider, flows: Flows | None = None
) -> Completed:
    settings = read_settings(environment_for(provider)).oidc.providers["stub"]
    subject = FlowSubject(provider=settings, purpose=FlowPurpose.LOG_IN)
    state = STATES.issue(subject, CALLBACK, SECRET, datetime.now(UTC)).flow.state
    flows = flows or Flows(database, Providers(OIDCSettings(), is_production=False), STATES)
    answer = Callback(state=state, code="c")
    return await flows.complete("stub", FlowPurpose.LOG_IN, answer, [SECRET])


@pytest.mark.usefixtures("little_time")
async def test_all_that_a_provider_is_asked_has_one_limit(
    database: Database, provider: StubProvider, answered: asyncio.Event
) -> None:
    with pytest.raises(ProviderUnavailable):
        await asyncio.wait_for(complete(database, provider), timeout=30)
    assert not answered.is_set()


@pytest.mark.usefixtures("little_time")
async def test_an_endpoint_in_which_a_flow_ran_out_of_time_is_not_waited_for_again(
    database: Database, provider: StubProvider
) -> None:
    providers = Providers(read_settings(environment_for(provider)).oidc, is_production=False)
    flows = Flows(database, providers, STATES)
    # What is known of the provider is fetched before its time is short.
    await flows.begin("stub", FlowPurpose.LOG_IN, CALLBACK, SECRET)
    provider.answers[TOKEN] = Answer(drips=True)
    with capture_logs() as events:
        for _ in range(2):
            with pytest.raises(ProviderUnavailable):
                await complete(database, provider, flows)
    await providers.close()
    assert provider.count(TOKEN) == 1
    assert [each["reason"] for each in events] == ["no answer in time"]


async def test_the_time_of_a_provider_is_given_back_to_the_request(
    database: Database,
    provider: StubProvider,
    answered: asyncio.Event,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered.set()
    monkeypatch.setattr(deadlines, "monotonic", clock)
    start_deadline(60)
    before = deadline()
    completed = await complete(database, provider)
    assert completed.identity == PROVEN
    assert deadline() == before + 3
