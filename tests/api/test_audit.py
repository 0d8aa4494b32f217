"""The audit trail, as it is logged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.auth.audit import Event
from tests.audit_trail import trail
from tests.factories import PASSWORD, bearer, log_in, sign_up
from tests.service_pool import ServicePool
from tests.services import Service, running

NEW_PASSWORD = "an entirely different one"


@pytest.fixture
def service(services: ServicePool) -> Service:
    return services.service(
        {
            "OSTIARY_LOG_FORMAT": "json",
            "OSTIARY_LOG_LEVEL": "error",  # the trail is written all the same
            "OSTIARY_LOG_IN_FAILURES_PER_NAME": "2/15m",
            "OSTIARY_LOG_IN_FAILURES_PER_DEVICE": "2/15m",
            "OSTIARY_SIGN_UPS_PER_ADDRESS": "2/1h",
        }
    )


@pytest.mark.own_service
def test_reading_the_documentation_leaves_the_log_as_it_was(
    database_url: str, tmp_path: Path
) -> None:
    environment = {"OSTIARY_LOG_FORMAT": "json"}
    with (
        running(database_url, tmp_path / "service.log", environment) as own,
        own.client() as client,
    ):
        client.get("/docs")
        client.get("/openapi.json")
        sign_up(client)
        logged = own.log.read_text()
    (line,) = [line for line in logged.splitlines() if "signed_up" in line]
    assert json.loads(line)["event"] == "signed_up"


def last_event(service: Service, response: httpx.Response) -> dict[str, Any]:
    """Return the last event, which must be that of this response."""
    found = trail(service)[-1]
    assert found["request_id"] == response.headers["x-request-id"]
    assert found["address"] == "127.0.0.1"
    assert found["by"] == "user"
    assert found["timestamp"].endswith("Z")
    return found


def ids(response: httpx.Response) -> dict[str, str]:
    body = response.json()
    return {"user_id": body["user"]["id"], "session_id": body["session"]["id"]}


def matches(event: dict[str, Any], name: Event, **fields: Any) -> bool:
    return event.items() >= {"event": name, **fields}.items()


def test_sign_up_log_in_and_log_out_are_recorded(service: Service, client: httpx.Client) -> None:
    joined = sign_up(client)
    assert matches(last_event(service, joined), Event.SIGNED_UP, **ids(joined))
    back = log_in(client)
    assert matches(last_event(service, back), Event.LOGGED_IN, known_device=True, **ids(back))
    left = client.post("/logout")
    assert matches(last_event(service, left), Event.LOGGED_OUT, **ids(back))


def test_failed_and_throttled_log_ins_are_recorded_with_the_user_id(
    service: Service, client: httpx.Client
) -> None:
    user_id = ids(sign_up(client))["user_id"]
    for event in (Event.LOG_IN_FAILED, Event.LOG_IN_FAILED, Event.LOG_IN_THROTTLED):
        response = log_in(client, password="wrong")
        assert matches(last_event(service, response), event, user_id=user_id, session_id=None)
    response = log_in(client, "Nobody")
    assert matches(last_event(service, response), Event.LOG_IN_FAILED, user_id=None)
    assert "Nobody" not in service.logged()


def test_a_failed_log_in_is_recorded_with_whether_the_device_is_known(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    response = log_in(client, password="wrong")
    assert matches(last_event(service, response), Event.LOG_IN_FAILED, known_device=True)
    client.cookies.clear()
    response = log_in(client, password="wrong")
    assert matches(last_event(service, response), Event.LOG_IN_FAILED, known_device=False)


def test_throttled_sign_ups_are_recorded(service: Service, client: httpx.Client) -> None:
    for username in ("Alice", "Bobby", "Carol"):
        client.cookies.clear()
        response = sign_up(client, username)
    assert matches(last_event(service, response), Event.SIGN_UP_THROTTLED)


def test_revocations_are_recorded_with_the_session_id(
    service: Service, client: httpx.Client
) -> None:
    mine = ids(sign_up(client))
    with service.client() as phone, service.client() as tablet:
        other = ids(log_in(phone))
        log_in(tablet)
    response = client.delete(f"/sessions/{other['session_id']}")
    assert matches(last_event(service, response), Event.SESSION_REVOKED, **other)
    response = client.delete("/sessions")
    assert matches(last_event(service, response), Event.OTHER_SESSIONS_REVOKED, **mine, ended=1)


def test_sessions_that_a_log_in_replaces_are_recorded(
    service: Service, client: httpx.Client
) -> None:
    alice = sign_up(client, "Alice")
    with service.client() as other:
        bobby = sign_up(other, "Bobby", transport="bearer")
    headers = bearer(bobby.json()["session"]["token"])
    body = {"username": "Alice", "password": PASSWORD}
    response = client.post("/login", json=body, headers=headers)
    *_, first, second, last = trail(service)
    for event in (first, second):
        assert matches(event, Event.SESSION_REPLACED, request_id=last["request_id"])
    assert {event["session_id"]: event["user_id"] for event in (first, second)} == {
        each["session_id"]: each["user_id"] for each in (ids(alice), ids(bobby))
    }
    assert matches(last, Event.LOGGED_IN, **ids(response))


def test_every_session_that_a_log_out_ends_is_recorded(
    service: Service, client: httpx.Client
) -> None:
    mine = ids(sign_up(client))
    with service.client() as other:
        token = (response := log_in(other, transport="bearer")).json()["session"]["token"]
    client.post("/logout", headers=bearer(token))
    events = trail(service)[-2:]
    assert [event["event"] for event in events] == [Event.LOGGED_OUT] * 2
    assert {event["session_id"] for event in events} == {
        mine["session_id"],
        ids(response)["session_id"],
    }


def test_a_wrong_current_password_is_recorded(service: Service, client: httpx.Client) -> None:
    mine = ids(sign_up(client))
    change = {"current_password": "wrong", "new_password": NEW_PASSWORD}
    for event in (Event.PASSWORD_REFUSED, Event.PASSWORD_REFUSED, Event.PASSWORD_THROTTLED):
        response = client.put("/me/password", json=change)
        assert matches(last_event(service, response), event, user_id=mine["user_id"])


def test_password_changes_and_account_deletions_are_recorded(
    service: Service, client: httpx.Client
) -> None:
    mine = ids(sign_up(client))
    with service.client() as phone:
        log_in(phone)
    change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    response = client.put("/me/password", json=change)
    assert matches(last_event(service, response), Event.PASSWORD_CHANGED, **mine, ended=1)
    response = client.request("DELETE", "/me", json={"password": NEW_PASSWORD})
    assert matches(last_event(service, response), Event.USER_DELETED, **mine)


def test_what_a_recent_proof_allows_is_recorded(service: Service, client: httpx.Client) -> None:
    mine = ids(sign_up(client))
    response = client.post("/me/reauthenticate", json={"method": "password", "password": PASSWORD})
    assert matches(last_event(service, response), Event.REAUTHENTICATED, **mine)
    response = client.put("/me/username", json={"username": "Alicia"})
    assert matches(last_event(service, response), Event.USERNAME_CHANGED, **mine)
    response = client.get("/me/export")
    assert matches(last_event(service, response), Event.ACCOUNT_EXPORTED, **mine)
    response = client.delete("/me")
    assert matches(last_event(service, response), Event.USER_DELETED, **mine)


def test_reading_is_not_recorded(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    before = trail(service)
    client.get("/me")
    client.get("/sessions")
    assert trail(service) == before
