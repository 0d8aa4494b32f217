"""The statements that a request sends: each is a round trip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.databases import TestServer, execute
from tests.factories import PASSWORD, log_in, sign_up
from tests.service_pool import ServicePool
from tests.services import Service, wait_for, wait_until_measured


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policies") / "policies.json"
    path.write_text('{"x": {"methods": ["password"], "max_age": "1h"}}', encoding="utf-8")
    return path


@pytest.fixture
def service(postgresql: TestServer, services: ServicePool, policies: Path) -> Service:
    """Return a service whose statements are recorded and whose background tasks have run."""
    postgresql.record_statements(services.database_url)
    settings = {"OSTIARY_LOG_LEVEL": "debug", "OSTIARY_VERIFY_POLICIES_FILE": str(policies)}
    service = services.service(settings)
    wait_until_measured(service)
    wait_for(
        lambda: postgresql.has_executed(services.database_url, "DELETE FROM rate_limit"),
        "the cleanup has run",
    )
    return service


def sign_up_another(client: httpx.Client) -> httpx.Response:
    client.cookies.clear()
    return sign_up(client, "Bobby")


def end_this_session(client: httpx.Client) -> httpx.Response:
    session_id = client.get("/me").json()["session"]["id"]
    return client.delete(f"/sessions/{session_id}")


def change_password(client: httpx.Client) -> httpx.Response:
    body = {"current_password": PASSWORD, "new_password": "an entirely different one"}
    return client.put("/me/password", json=body)


def delete_me(client: httpx.Client) -> httpx.Response:
    return client.request("DELETE", "/me", json={"password": PASSWORD})


@pytest.mark.parametrize(
    ("send", "expected"),
    [
        (lambda client: client.get("/me"), ["SELECT"]),
        (lambda client: client.get("/verify", headers={"X-Forwarded-Method": "GET"}), ["SELECT"]),
        # The age of a session comes with it.
        (lambda client: client.get("/verify/x", headers={"X-Forwarded-Method": "GET"}), ["SELECT"]),
        (lambda client: client.post("/logout"), ["DELETE"]),
        (log_in, ["WITH", "WITH"]),
        (sign_up_another, ["WITH", "BEGIN", "INSERT", "INSERT", "SELECT", "WITH", "COMMIT"]),
        (lambda client: client.get("/sessions"), ["SELECT", "SELECT"]),
        (lambda client: client.delete("/sessions"), ["SELECT", "SELECT", "WITH"]),
        (end_this_session, ["SELECT", "SELECT", "DELETE"]),
        (
            change_password,
            [
                # The session, whether there is a factor, the key with the password, an attempt.
                *("SELECT", "SELECT", "SELECT", "WITH", "UPDATE"),
                *("BEGIN", "SELECT", "UPDATE", "UPDATE", "UPDATE", "DELETE", "SELECT"),
                *("WITH", "UPDATE", "COMMIT"),
            ],
        ),
        (
            delete_me,
            [
                *("SELECT", "SELECT", "SELECT", "WITH", "UPDATE"),
                *("BEGIN", "SELECT", "SELECT", "SELECT", "WITH", "COMMIT"),
            ],
        ),
    ],
    ids=[
        *(
            "me",
            "verify",
            "verify by a policy",
            "logout",
            "login",
            "signup",
            "list",
            "end others",
            "end one",
        ),
        *("change password", "delete"),
    ],
)
def test_a_request_sends_exactly_these_statements(
    postgresql: TestServer,
    service: Service,
    client: httpx.Client,
    send: Callable[[httpx.Client], httpx.Response],
    expected: list[str],
) -> None:
    sign_up(client)
    client.get("/me")
    before = len(postgresql.statements(service.database_url))
    assert send(client).is_success
    assert postgresql.statements(service.database_url)[before:] == expected


@pytest.mark.parametrize(("method", "path"), [("GET", "/me"), ("POST", "/logout")])
def test_a_request_without_a_token_sends_no_statement(
    postgresql: TestServer, service: Service, client: httpx.Client, method: str, path: str
) -> None:
    before = len(postgresql.statements(service.database_url))
    assert client.request(method, path).status_code == 401
    assert postgresql.statements(service.database_url)[before:] == []


@pytest.mark.parametrize("is_known_device", [False, True])
def test_refused_log_ins_send_as_many_statements_whether_the_name_exists_or_not(
    postgresql: TestServer, service: Service, client: httpx.Client, *, is_known_device: bool
) -> None:
    sign_up(client)
    client.get("/me")
    if not is_known_device:
        client.cookies.clear()
    sent = []
    execute(
        service.database_url,
        """INSERT INTO key (provider, name, user_id, display_name, password_hash, password_scheme)
           SELECT 'email', 'alice@example.com', user_id, 'alice@example.com', password_hash,
                  password_scheme
           FROM key""",
    )
    names = ("Alice", "Nobody", "\0", "alice@example.com", "nobody@example.com", "alice@")
    for username in names:
        before = len(postgresql.statements(service.database_url))
        assert log_in(client, username, password="wrong").status_code == 401
        sent.append(len(postgresql.statements(service.database_url)) - before)
    assert sent == [2] * len(names)
