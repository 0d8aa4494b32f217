"""After a provider, a second factor of ours is asked for as after a password."""

from __future__ import annotations

from time import time

import httpx
import pytest

from tests.databases import fetch_value
from tests.factories import service_token
from tests.factors.conftest import Phone, begin_set_up, confirm
from tests.identities.conftest import (
    LOG_IN,
    STALE,
    App,
    Session,
    environment_for,
    methods_of,
    problem,
    session_of,
)
from tests.oidc.stub_provider import StubProvider
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, Service

REQUIRED = (401, "second_factor_required")
COUNT_SESSIONS = "SELECT count(*) FROM session"


@pytest.fixture
def session(app: App) -> Session:
    """Return the session of a user whom only a provider proves."""
    return session_of(app.sign_up(username="Alice"))


@pytest.fixture
def phone(app: App, session: Session, service: Service) -> Phone:
    """Return the authenticator app of that user."""
    found = begin_set_up(app.client, service.database_url, session)
    assert confirm(app.client, session, found.code()).status_code == 200
    return found


def complete(client: httpx.Client, asked: httpx.Response, phone: Phone) -> httpx.Response:
    body = {"method": "totp", "code": phone.next_code()}
    body["challenge_token"] = asked.json()["challenge_token"]
    return client.post("/login/second-factor", json=body)


def test_a_factor_is_asked_for_and_completes_the_log_in(
    app: App, phone: Phone, service: Service
) -> None:
    asked = app.log_in()
    assert problem(asked) == REQUIRED
    assert asked.json()["methods"] == ["totp", "recovery_code"]
    assert fetch_value(service.database_url, COUNT_SESSIONS) == 1
    assert methods_of(complete(app.client, asked, phone)) == ["oidc:stub", "totp"]


def test_a_factor_is_asked_for_after_an_id_token(app: App, phone: Phone) -> None:
    begun = app.begin()
    token = app.provider.id_token(nonce=begun["nonce"], sub="7", aud="ios")
    body = {"id_token": token, "state": begun["state"], "transport": "bearer"}
    asked = app.client.post(f"{LOG_IN}/id-token", json=body)
    assert problem(asked) == REQUIRED
    assert methods_of(complete(app.client, asked, phone)) == ["oidc:stub", "totp"]


def trusting(services: ServicePool, provider: StubProvider) -> App:
    environment = environment_for(provider, trusted_as_second_factor="true")
    service = services.service({**NO_LIMITS, **environment})
    return App(client=service.client(), provider=provider)


def test_a_trusted_provider_is_enough(
    phone: Phone, services: ServicePool, provider: StubProvider
) -> None:
    app = trusting(services, provider)
    with app.client:
        assert methods_of(app.log_in()) == ["oidc:stub"]


def test_a_trusted_provider_renews_no_step_up_of_a_user_with_a_factor(
    phone: Phone, services: ServicePool, provider: StubProvider
) -> None:
    app = trusting(services, provider)
    with app.client:
        for auth_time in (..., int(time())):
            session = session_of(app.log_in(auth_time=auth_time))
            refused = app.client.delete("/me/totp", headers=session)
            assert problem(refused) == STALE
            assert refused.json()["methods"] == ["totp", "recovery_code"]


def test_amr_tells_of_two_factors(app: App, phone: Phone, service: Service) -> None:
    program = service_token(service.database_url, "introspect")
    token = complete(app.client, app.log_in(), phone).json()["session"]["token"]
    response = app.client.post(
        "/introspect", data={"token": token}, headers={"Authorization": f"Bearer {program}"}
    )
    assert response.json()["amr"] == ["oidc:stub", "otp", "mfa"]
