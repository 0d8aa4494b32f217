"""Browsers and apps that log in at a provider of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from msgspec import Struct

from tests.factories import bearer
from tests.oidc.stub_provider import TOKEN, StubProvider
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, Service

CALLBACK = "https://app.example.com/callback"
NATIVE_CALLBACK = "com.example.app:/callback"

LOG_IN = "/login/oidc/stub"
LINK = "/me/identities/stub"
REAUTHENTICATE = "/me/reauthenticate/oidc/stub"

CHALLENGE = (401, "invalid_challenge")
CREDENTIALS = (401, "invalid_credentials")
NEEDED = (409, "sign_up_needed")
STALE = (401, "reauthentication_required")

Session = dict[str, str]


def problem(response: httpx.Response) -> tuple[int, str]:
    """Return the status of a refusal, and its code."""
    return response.status_code, response.json().get("code", "")


def environment_for(provider: StubProvider, name: str = "STUB", **more: str) -> dict[str, str]:
    """Return the settings of a provider."""
    uris = f"{CALLBACK},{NATIVE_CALLBACK},http://127.0.0.1/callback"
    variables = {"client_ids": "web,ios", "redirect_uris": uris} | more
    return provider.environment(name, **variables)


def exchanges(provider: StubProvider) -> list[dict[str, str]]:
    """Return the requests in which codes were exchanged."""
    return [request.form for request in provider.requests if request.path == TOKEN]


class App(Struct, frozen=True, kw_only=True):
    """An app in a browser, or a native one, and the provider at which its users have accounts."""

    client: httpx.Client
    provider: StubProvider
    is_native: bool = False

    def begin(
        self, path: str = LOG_IN, session: Session | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Begin a flow."""
        response = self.client.post(path, json=self.beginning | fields, headers=session)
        assert response.status_code == 200, response.text
        begun: dict[str, Any] = response.json()
        return begun

    @property
    def beginning(self) -> dict[str, str]:
        """The body of the request that begins a flow."""
        if self.is_native:
            return {"redirect_uri": NATIVE_CALLBACK, "client": "native"}
        return {"redirect_uri": CALLBACK}

    def answer(self, begun: dict[str, Any], subject: str = "7", **claims: Any) -> dict[str, Any]:
        """Return what the provider answers to a flow, for its user ``subject``."""
        code = self.provider.code_for(nonce=begun["nonce"], sub=subject, **claims)
        answer = {"code": code, "state": begun["state"], "transport": "bearer"}
        if self.is_native:
            answer["flow_secret"] = begun["flow_secret"]
        return answer

    def post(
        self, answer: dict[str, Any], path: str = LOG_IN, session: Session | None = None
    ) -> httpx.Response:
        """Send the answer of a provider."""
        if path != LOG_IN:
            answer = {name: value for name, value in answer.items() if name != "transport"}
        return self.client.post(f"{path}/callback", json=answer, headers=session)

    def log_in(self, subject: str = "7", **claims: Any) -> httpx.Response:
        """Log in with an account at the provider."""
        return self.post(self.answer(self.begin(), subject, **claims))

    def sign_up(self, subject: str = "7", **fields: Any) -> httpx.Response:
        """Sign up with an account at the provider."""
        needed = self.log_in(subject)
        assert problem(needed) == NEEDED, needed.text
        body = {"challenge_token": needed.json()["challenge_token"], "transport": "bearer"}
        return self.client.post("/signup/oidc", json=body | fields)

    def link(self, session: Session, subject: str = "7", **claims: Any) -> httpx.Response:
        """Link an account at the provider to the user of a session."""
        answer = self.answer(self.begin(LINK, session), subject, **claims)
        return self.post(answer, LINK, session)

    def identities(self, session: Session) -> list[dict[str, Any]]:
        """Return the identities of the user of a session."""
        response = self.client.get("/me/identities", headers=session)
        assert response.status_code == 200, response.text
        found: list[dict[str, Any]] = response.json()["identities"]
        return found


def session_of(response: httpx.Response) -> Session:
    """Return the header with the token that a response has."""
    assert response.status_code in {200, 201}, response.text
    return bearer(response.json()["session"]["token"])


def methods_of(response: httpx.Response) -> list[str]:
    """Return the methods that have proven the user of a session."""
    assert response.status_code in {200, 201}, response.text
    return [each["method"] for each in response.json()["session"]["methods"]]


def url_of(response: httpx.Response) -> httpx.URL:
    """Return the URL at which a flow begins."""
    return httpx.URL(response.json()["authorization_url"])


@pytest.fixture
def provider(stub: StubProvider) -> StubProvider:
    """Return the shared provider, as it is at first."""
    stub.reset()
    return stub


@pytest.fixture
def service(services: ServicePool, provider: StubProvider) -> Service:
    """Return a service at which users log in with accounts at the provider."""
    return services.service({**NO_LIMITS, **environment_for(provider)})


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    """Return a browser."""
    with service.client() as browser:
        yield browser


@pytest.fixture
def app(client: httpx.Client, provider: StubProvider) -> App:
    """Return an app in a browser."""
    return App(client=client, provider=provider)
