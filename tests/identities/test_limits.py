"""How often a network may fail at what accounts at providers prove, and sign up with them."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.factories import sign_up
from tests.identities.conftest import (
    CHALLENGE,
    LINK,
    LOG_IN,
    REAUTHENTICATE,
    App,
    environment_for,
    problem,
    session_of,
)
from tests.oidc.stub_provider import TOKEN, StubProvider
from tests.oidc.stub_server import Answer
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS

LIMITED = (429, "rate_limited")
UNKNOWN = {"state": "AAAA", "code": "B"}


@pytest.fixture
def app(services: ServicePool, provider: StubProvider) -> Iterator[App]:
    """Return an app whose network may fail twice, and sign up twice."""
    limits = {
        "OSTIARY_LOG_IN_FAILURES_PER_ADDRESS": "2/1h",
        "OSTIARY_SIGN_UPS_PER_ADDRESS": "2/1h",
    }
    service = services.service({**NO_LIMITS, **environment_for(provider), **limits})
    with service.client() as client:
        yield App(client=client, provider=provider)


@pytest.mark.parametrize("path", [LOG_IN, LINK, REAUTHENTICATE])
def test_failures_are_limited(app: App, path: str) -> None:
    session = session_of(sign_up(app.client, transport="bearer"))

    def fail() -> httpx.Response:
        return app.client.post(f"{path}/callback", json=UNKNOWN, headers=session)

    assert [problem(fail()) for _ in range(3)] == [CHALLENGE, CHALLENGE, LIMITED]
    assert "Retry-After" in fail().headers


def test_failures_with_id_tokens_are_limited(app: App) -> None:
    body = {"state": "AAAA", "id_token": "a.b.c"}
    failed = [problem(app.client.post(f"{LOG_IN}/id-token", json=body)) for _ in range(3)]
    assert failed == [CHALLENGE, CHALLENGE, LIMITED]


def test_errors_of_a_provider_are_limited(app: App) -> None:
    """Each one ends a flow, which is remembered for a day: a stranger needs no account for that."""

    def cancel() -> httpx.Response:
        return app.post({"state": app.begin()["state"], "error": "access_denied"})

    refused = (400, "provider_refused")
    assert [problem(cancel()) for _ in range(3)] == [refused, refused, LIMITED]


def test_an_unreachable_provider_is_no_failure(app: App, provider: StubProvider) -> None:
    app.sign_up()
    for _ in range(3):
        answer = app.answer(app.begin())
        # Which is not remembered, as a status of 500 is.
        provider.answers[TOKEN] = Answer(document={"error": "server_error"}, status=400)
        assert problem(app.post(answer)) == (503, "provider_unavailable")
        del provider.answers[TOKEN]
    assert app.log_in().status_code == 200


def test_what_succeeds_does_not_count(app: App) -> None:
    app.sign_up()
    assert [app.log_in().status_code for _ in range(4)] == [200] * 4


def test_sign_ups_are_limited(app: App) -> None:
    for subject in ("1", "2"):
        assert app.sign_up(subject).status_code == 201
        app.client.cookies.clear()
    assert problem(app.sign_up("3")) == LIMITED
