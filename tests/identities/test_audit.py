"""The audit trail of accounts at providers."""

from __future__ import annotations

from time import time
from typing import Any

import httpx
import pytest

from service.auth.audit import Event
from tests.audit_trail import events
from tests.factors.conftest import begin_set_up, confirm
from tests.identities.conftest import (
    LINK,
    REAUTHENTICATE,
    App,
    Session,
    environment_for,
    session_of,
)
from tests.oidc.stub_provider import StubProvider
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, Service


@pytest.fixture
def service(services: ServicePool, provider: StubProvider) -> Service:
    environment = environment_for(provider) | {"OSTIARY_LOG_FORMAT": "json"}
    return services.service({**NO_LIMITS, **environment})


@pytest.fixture
def session(app: App) -> Session:
    """Return the session of a user whom only a provider proves."""
    return session_of(app.sign_up())


def ids_of(app: App, session: Session) -> dict[str, str]:
    """Return the ids of a user and of their session, as events have them."""
    me = app.client.get("/me", headers=session).json()
    return {"user_id": me["user"]["id"], "session_id": me["session"]["id"]}


def opened(response: httpx.Response) -> dict[str, Any]:
    """Return the ids of the user and of the session that a log-in has opened."""
    body = response.json()
    return {"user_id": body["user"]["id"], "session_id": body["session"]["id"]}


def test_a_sign_up_is_recorded_with_its_user_and_session(app: App, service: Service) -> None:
    response = app.sign_up()
    (event,) = events(service, response)
    assert event.items() >= {"event": Event.SIGNED_UP, **opened(response)}.items()


def test_a_log_in_is_recorded_with_its_user_and_session(
    app: App, service: Service, session: Session
) -> None:
    response = app.log_in()
    assert events(service, response) == [
        {"event": Event.LOGGED_IN, **opened(response), "known_device": False}
    ]


def test_the_device_of_a_sign_up_or_log_in_is_known_afterwards(app: App, service: Service) -> None:
    device = app.sign_up().json()["session"]["device_token"]

    def is_known(device_token: str) -> bool:
        answer = app.answer(app.begin()) | {"device_token": device_token}
        (event,) = events(service, app.post(answer))
        return bool(event["known_device"])

    assert is_known(device)
    other = app.log_in().json()["session"]["device_token"]
    assert is_known(other)


def test_a_device_that_is_presented_keeps_its_token(app: App) -> None:
    device = app.sign_up("1").json()["session"]["device_token"]
    other = app.sign_up("2", device_token=device).json()["session"]
    assert other["device_token"] == device
    answer = app.answer(app.begin(), "1") | {"device_token": device}
    assert app.post(answer).json()["session"]["device_token"] == device


def test_a_known_device_is_known_after_the_second_factor(
    app: App, service: Service, session: Session
) -> None:
    phone = begin_set_up(app.client, service.database_url, session)
    assert confirm(app.client, session, phone.code()).status_code == 200

    def complete(asked: httpx.Response) -> httpx.Response:
        body = {"method": "totp", "code": phone.next_code()}
        body["challenge_token"] = asked.json()["challenge_token"]
        return app.client.post("/login/second-factor", json=body)

    first = complete(app.log_in())
    (event,) = events(service, first)
    assert not event["known_device"]
    device = first.json()["session"]["device_token"]
    answer = app.answer(app.begin()) | {"device_token": device}
    (event,) = events(service, complete(app.post(answer)))
    assert event["known_device"]


def test_that_a_factor_is_asked_for_is_recorded_with_the_user(
    app: App, service: Service, session: Session
) -> None:
    phone = begin_set_up(app.client, service.database_url, session)
    assert confirm(app.client, session, phone.code()).status_code == 200
    about = {**ids_of(app, session), "session_id": None}
    asked = app.log_in()
    assert events(service, asked) == [{"event": Event.SECOND_FACTOR_REQUIRED, **about}]


def test_a_link_is_recorded_with_its_session_and_issuer(
    app: App, service: Service, session: Session, provider: StubProvider
) -> None:
    about = {**ids_of(app, session), "issuer": provider.issuer}
    linked = app.link(session, "8")
    assert events(service, linked) == [{"event": Event.IDENTITY_LINKED, **about}]
    app.log_in("8")
    path = f"/me/identities/{linked.json()['id']}"
    removed = app.client.delete(path, headers=session)
    assert events(service, removed) == [{"event": Event.IDENTITY_UNLINKED, **about, "ended": 1}]


def test_an_account_that_is_linked_already_is_not_recorded_again(
    app: App, service: Service, session: Session
) -> None:
    assert events(service, app.link(session)) == []


def test_a_new_proof_is_recorded_with_its_user_and_session(
    app: App, service: Service, session: Session
) -> None:
    ids = ids_of(app, session)
    begun = app.begin(REAUTHENTICATE, session)
    answer = app.answer(begun, auth_time=int(time()))
    proven = app.post(answer, REAUTHENTICATE, session)
    assert events(service, proven) == [{"event": Event.REAUTHENTICATED, **ids}]


def test_a_failure_in_a_session_is_recorded_with_its_user(
    app: App, service: Service, session: Session
) -> None:
    ids = ids_of(app, session)
    refused = app.post(
        app.answer(app.begin(LINK, session), iss="https://other.example"), LINK, session
    )
    (event,) = events(service, refused)
    assert event["event"] == Event.LOG_IN_FAILED
    assert event["user_id"] == ids["user_id"]
