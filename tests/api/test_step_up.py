"""Step-up: what needs a recent proof of the user, and how to give one (RFC 9470)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.databases import execute, fetch_value, held, wait_for_lock_waiters
from tests.factories import PASSWORD, age_sessions, bearer, log_in, moment, sign_up
from tests.service_pool import ServicePool
from tests.services import Service

MINUTE = 1 / (24 * 60)
OTHER = "00000000-0000-0000-0000-000000000000"

NEEDING = [
    ("DELETE", "/sessions", None),
    ("DELETE", f"/sessions/{OTHER}", None),
    ("DELETE", "/me", None),
    ("PUT", "/me/username", {"username": "Alicia"}),
    ("GET", "/me/export", None),
]


def opened(response: httpx.Response) -> dict[str, str]:
    """Return the header with the token that a response has."""
    return bearer(response.json()["session"]["token"])


@pytest.fixture
def alice(client: httpx.Client) -> dict[str, str]:
    return opened(sign_up(client, transport="bearer"))


def reauthenticate(
    client: httpx.Client, headers: dict[str, str], password: str = PASSWORD
) -> httpx.Response:
    body = {"method": "password", "password": password}
    return client.post("/me/reauthenticate", json=body, headers=headers)


@pytest.mark.parametrize(("method", "path", "body"), NEEDING)
def test_a_proof_of_more_than_ten_minutes_ago_is_not_enough(
    service: Service,
    client: httpx.Client,
    alice: dict[str, str],
    method: str,
    path: str,
    body: dict[str, str] | None,
) -> None:
    age_sessions(service.database_url, days=11 * MINUTE)
    response = client.request(method, path, json=body, headers=alice)
    assert response.status_code == 401
    assert response.json()["code"] == "reauthentication_required"
    assert response.json()["methods"] == ["password"]
    assert response.headers["www-authenticate"] == (
        'Bearer error="insufficient_user_authentication", max_age="600"'
    )
    assert client.get("/me", headers=alice).json()["user"]["username"] == "Alice"


@pytest.mark.parametrize(("method", "path", "body"), NEEDING)
def test_a_proof_of_nine_minutes_ago_is_enough(
    service: Service,
    client: httpx.Client,
    alice: dict[str, str],
    method: str,
    path: str,
    body: dict[str, str] | None,
) -> None:
    age_sessions(service.database_url, days=9 * MINUTE)
    response = client.request(method, path, json=body, headers=alice)
    assert response.status_code in {200, 204, 404}


@pytest.mark.parametrize(("method", "path", "body"), NEEDING)
def test_without_a_session_the_request_is_not_authenticated(
    client: httpx.Client, method: str, path: str, body: dict[str, str] | None
) -> None:
    response = client.request(method, path, json=body)
    assert response.json()["code"] == "not_authenticated"


def test_reauthentication_is_enough_and_replaces_the_token(
    service: Service, client: httpx.Client, alice: dict[str, str]
) -> None:
    age_sessions(service.database_url, days=11 * MINUTE)
    response = reauthenticate(client, alice)
    assert response.status_code == 200
    assert client.get("/me", headers=alice).status_code == 401
    assert client.get("/me/export", headers=opened(response)).status_code == 200


def test_a_browser_gets_a_new_cookie(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    before = dict(client.cookies)
    age_sessions(service.database_url, days=11 * MINUTE)
    assert client.get("/me/export").json()["code"] == "reauthentication_required"
    response = reauthenticate(client, {})
    assert "token" not in response.json()["session"]
    assert dict(client.cookies) != before
    assert client.get("/me/export").status_code == 200


def test_another_session_of_the_user_is_not_proven_by_it(
    service: Service, client: httpx.Client, alice: dict[str, str]
) -> None:
    phone = opened(log_in(client, transport="bearer"))
    age_sessions(service.database_url, days=11 * MINUTE)
    reauthenticate(client, phone)
    response = client.delete("/sessions", headers=alice)
    assert response.json()["code"] == "reauthentication_required"


def test_a_wrong_password_proves_nothing_and_keeps_the_token(
    service: Service, client: httpx.Client, alice: dict[str, str]
) -> None:
    age_sessions(service.database_url, days=11 * MINUTE)
    assert reauthenticate(client, alice, "not it").json()["code"] == "invalid_credentials"
    response = client.get("/me/export", headers=alice)
    assert response.json()["code"] == "reauthentication_required"


def test_wrong_passwords_are_limited(services: ServicePool) -> None:
    service = services.service({"OSTIARY_LOG_IN_FAILURES_PER_DEVICE": "2/1h"})
    with service.client() as client:
        headers = opened(sign_up(client, transport="bearer"))
        answers = [reauthenticate(client, headers, "wrong").status_code for _ in range(3)]
    assert answers == [401, 401, 429]


def test_an_unknown_method_is_refused(client: httpx.Client, alice: dict[str, str]) -> None:
    body = {"method": "smoke_signal", "password": PASSWORD}
    response = client.post("/me/reauthenticate", json=body, headers=alice)
    assert (response.status_code, response.json()["code"]) == (400, "validation_failed")


def test_the_own_session_ends_without_step_up(
    service: Service, client: httpx.Client, alice: dict[str, str]
) -> None:
    age_sessions(service.database_url, days=11 * MINUTE)
    session_id = client.get("/me", headers=alice).json()["session"]["id"]
    assert client.delete(f"/sessions/{session_id}", headers=alice).status_code == 204


def test_a_user_without_a_password_is_told_that_no_method_helps(
    service: Service, client: httpx.Client, alice: dict[str, str]
) -> None:
    execute(service.database_url, "UPDATE key SET password_hash = NULL, password_scheme = NULL")
    age_sessions(service.database_url, days=11 * MINUTE)
    assert client.get("/me/export", headers=alice).json()["methods"] == []


def test_a_password_that_was_changed_meanwhile_proves_nothing(
    service: Service, client: httpx.Client, alice: dict[str, str]
) -> None:
    url = service.database_url
    age_sessions(url, days=11 * MINUTE)
    with ThreadPoolExecutor() as threads:
        with held(url, "UPDATE key SET password_hash = password_hash || 'x'", end="COMMIT"):
            answer = threads.submit(reauthenticate, client, alice)
            wait_for_lock_waiters(url)
        assert answer.result().json()["code"] == "invalid_credentials"
    assert client.get("/me", headers=alice).status_code == 200


def test_the_session_tells_its_methods_and_when_they_proved_the_user(
    service: Service, client: httpx.Client, alice: dict[str, str]
) -> None:
    at_first = client.get("/me", headers=alice).json()["session"]
    assert at_first["authenticated_at"] == at_first["created_at"]
    assert at_first["methods"] == [{"method": "password", "at": at_first["created_at"]}]
    later = reauthenticate(client, alice)
    (listed,) = client.get("/sessions", headers=opened(later)).json()["sessions"]
    for session in (later.json()["session"], listed):
        assert moment(session["authenticated_at"]) > moment(session["created_at"])
        assert session["methods"] == [{"method": "password", "at": session["authenticated_at"]}]


def test_a_change_of_the_password_proves_the_user(
    service: Service, client: httpx.Client, alice: dict[str, str]
) -> None:
    age_sessions(service.database_url, days=11 * MINUTE)
    body = {"current_password": PASSWORD, "new_password": "quite another passphrase"}
    response = client.put("/me/password", json=body, headers=alice)
    assert client.get("/me/export", headers=opened(response)).status_code == 200


def test_a_session_of_an_earlier_version_was_proven_when_it_was_opened(
    service: Service, client: httpx.Client, alice: dict[str, str]
) -> None:
    execute(service.database_url, "UPDATE session SET authenticated_at = NULL, methods = '{}'")
    session = client.get("/me", headers=alice).json()["session"]
    assert (session["authenticated_at"], session["methods"]) == (session["created_at"], [])
    assert client.get("/me/export", headers=alice).status_code == 200
    age_sessions(service.database_url, days=11 * MINUTE)
    assert client.get("/me/export", headers=alice).status_code == 401


def test_the_period_is_a_setting(services: ServicePool) -> None:
    service = services.service({"OSTIARY_REAUTHENTICATION_PERIOD": "1h"})
    with service.client() as client:
        headers = opened(sign_up(client, transport="bearer"))
        age_sessions(service.database_url, days=59 * MINUTE)
        assert client.get("/me/export", headers=headers).status_code == 200
        age_sessions(service.database_url, days=2 * MINUTE)
        assert (
            'max_age="3600"'
            in client.get("/me/export", headers=headers).headers["www-authenticate"]
        )


def test_deletion_needs_no_body_after_a_recent_proof(
    service: Service, client: httpx.Client, alice: dict[str, str]
) -> None:
    assert client.delete("/me", headers=alice).status_code == 204
    assert fetch_value(service.database_url, 'SELECT count(*) FROM "user"') == 0


def test_with_the_password_deletion_needs_no_recent_proof(
    service: Service, client: httpx.Client, alice: dict[str, str]
) -> None:
    age_sessions(service.database_url, days=11 * MINUTE)
    response = client.request("DELETE", "/me", json={"password": PASSWORD}, headers=alice)
    assert response.status_code == 204


def test_changes_of_the_password_move_the_security_version(
    service: Service, client: httpx.Client, alice: dict[str, str]
) -> None:
    version = 'SELECT security_version FROM "user"'
    before = fetch_value(service.database_url, version)
    body = {"current_password": PASSWORD, "new_password": "quite another passphrase"}
    assert client.put("/me/password", json=body, headers=alice).status_code == 200
    assert fetch_value(service.database_url, version) == before + 1
