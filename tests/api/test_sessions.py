"""Listing and ending sessions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from service.api.security.guard import require_session
from service.app import create_app
from service.settings import Settings
from tests.databases import execute
from tests.factories import (
    COOKIE,
    age_sessions,
    bearer,
    codes,
    log_in,
    moment,
    sessions_in,
    sign_up,
)
from tests.programs.operations import OPERATIONS
from tests.services import Service


@pytest.fixture
def alice(client: httpx.Client) -> str:
    return bearer_token(sign_up(client, "Alice", transport="bearer"))


@pytest.fixture
def bobby(client: httpx.Client) -> str:
    return bearer_token(sign_up(client, "Bobby", transport="bearer"))


def bearer_token(response: httpx.Response) -> str:
    token: str = response.json()["session"]["token"]
    return token


def log_in_elsewhere(client: httpx.Client, username: str = "Alice", agent: str = "phone") -> str:
    client.headers["User-Agent"] = agent
    return bearer_token(log_in(client, username, transport="bearer"))


def list_sessions(client: httpx.Client, token: str, cursor: str | None = None) -> httpx.Response:
    parameters = {} if cursor is None else {"cursor": cursor}
    return client.get("/sessions", headers=bearer(token), params=parameters)


def test_sessions_are_listed_newest_first_with_the_current_one_marked(
    client: httpx.Client, alice: str
) -> None:
    phone = log_in_elsewhere(client, agent="phone")
    log_in_elsewhere(client, agent="tablet")
    page = list_sessions(client, phone).json()
    assert [each["user_agent"] for each in page["sessions"][:2]] == ["tablet", "phone"]
    assert [each["current"] for each in page["sessions"]] == [False, True, False]
    assert page["next"] is None
    assert page["sessions"][0].keys() == {
        *("id", "current", "state", "device_name", "user_agent", "address", "created_at"),
        *("renewed_at", "active_expires_at", "idle_expires_at", "absolute_expires_at"),
        *("methods", "authenticated_at"),
    }
    assert {each["address"] for each in page["sessions"]} == {"127.0.0.1"}


def test_dead_sessions_and_those_of_other_users_are_not_listed(
    service: Service, client: httpx.Client, alice: str, bobby: str
) -> None:
    age_sessions(service.database_url, days=16)
    log_in_elsewhere(client, "Bobby")
    now = log_in_elsewhere(client)
    (only,) = list_sessions(client, now).json()["sessions"]
    assert only["current"] is True


def test_an_idle_session_is_listed_as_idle(
    service: Service, client: httpx.Client, alice: str
) -> None:
    age_sessions(service.database_url, days=2)
    now = log_in_elsewhere(client)
    states = [each["state"] for each in list_sessions(client, now).json()["sessions"]]
    assert states == ["active", "idle"]


def pages(client: httpx.Client, token: str) -> Iterator[list[str]]:
    page = list_sessions(client, token).json()
    yield [each["id"] for each in page["sessions"]]
    while page["next"] is not None:
        page = list_sessions(client, token, page["next"]).json()
        yield [each["id"] for each in page["sessions"]]


@pytest.mark.parametrize(
    ("others", "lengths"), [(99, [100]), (100, [100, 1]), (249, [100, 100, 50])]
)
def test_more_than_a_hundred_sessions_are_listed_in_pages(
    service: Service, client: httpx.Client, alice: str, others: int, lengths: list[int]
) -> None:
    """Sessions with the same time of creation are listed once as well."""
    execute(
        service.database_url,
        """INSERT INTO session SELECT gen_random_uuid(), secret_hash, user_id,
           created_at - (n % 3) * interval '1 s', renewed_at, active_expires_at, idle_expires_at,
           absolute_expires_at FROM session, generate_series(1, $1) AS n""",
        others,
    )
    found = list(pages(client, alice))
    assert [len(page) for page in found] == lengths
    assert len({each for page in found for each in page}) == others + 1


@pytest.mark.parametrize("cursor", ["", "x", "é", "A" * 31, "A" * 33, "A" * 4000, "f" + "_" * 31])
def test_an_invalid_cursor_is_refused(client: httpx.Client, alice: str, cursor: str) -> None:
    response = list_sessions(client, alice, cursor)
    assert response.status_code == 400
    assert codes(response) == {"cursor": "not_allowed"}


def test_an_ended_session_is_dead_immediately(client: httpx.Client, alice: str) -> None:
    phone = log_in_elsewhere(client)
    listed = list_sessions(client, alice).json()["sessions"]
    (other,) = [each["id"] for each in listed if not each["current"]]
    assert client.delete(f"/sessions/{other}", headers=bearer(alice)).status_code == 204
    assert client.get("/me", headers=bearer(phone)).status_code == 401
    assert client.get("/me", headers=bearer(alice)).status_code == 200


def test_ending_the_current_session_logs_out(client: httpx.Client) -> None:
    sign_up(client)
    current = client.get("/me").json()["session"]["id"]
    response = client.delete(f"/sessions/{current}")
    assert response.status_code == 204
    assert response.headers["set-cookie"].startswith(f"{COOKIE}=; Max-Age=0")
    assert client.get("/me").status_code == 401


def test_the_session_of_another_user_looks_nonexistent(
    service: Service, client: httpx.Client, alice: str, bobby: str
) -> None:
    (bobbys,) = list_sessions(client, bobby).json()["sessions"]
    answers = []
    for session_id in (bobbys["id"], str(uuid4()), "no-id-at-all"):
        response = client.delete(f"/sessions/{session_id}", headers=bearer(alice))
        assert response.status_code == 404
        answers.append({**response.json(), "request_id": None})
    assert answers[0] == answers[1] == answers[2]
    assert client.get("/me", headers=bearer(bobby)).status_code == 200


def test_a_dead_session_looks_nonexistent(
    service: Service, client: httpx.Client, alice: str
) -> None:
    (old,) = list_sessions(client, alice).json()["sessions"]
    age_sessions(service.database_url, days=16)
    now = log_in_elsewhere(client)
    assert client.delete(f"/sessions/{old['id']}", headers=bearer(now)).status_code == 404


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("Jane's phone", "Jane's phone"),
        ("  Jane\u0301 \n", "Jan\u00e9"),
        ("👩\u200d💻 laptop", "👩\u200d💻 laptop"),
        ("x" * 64, "x" * 64),
        ("   ", None),
        ("", None),
    ],
)
def test_a_session_shows_the_name_that_the_client_gave_its_device(
    client: httpx.Client, typed: str, shown: str | None
) -> None:
    first = bearer_token(sign_up(client, transport="bearer", device_name=typed))
    second = bearer_token(log_in(client, transport="bearer", device_name=typed))
    unnamed = bearer_token(log_in(client, transport="bearer"))
    listed = list_sessions(client, first).json()["sessions"]
    assert [each["device_name"] for each in listed] == [None, shown, shown]
    assert client.get("/me", headers=bearer(second)).status_code == 200
    assert client.get("/me", headers=bearer(unnamed)).status_code == 200


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("x" * 65, "too_long"),
        ("a\0b", "not_allowed"),
        ("a\nb", "not_allowed"),
        ("\x1b[31mred", "not_allowed"),
        ("a\x9bb", "not_allowed"),
        ("a\u2028b", "not_allowed"),
        ("a\u2029b", "not_allowed"),
        ("a\u202eb", "not_allowed"),
        (7, "wrong_type"),
        (None, "wrong_type"),
    ],
)
def test_a_device_name_is_short_and_without_control_characters(
    client: httpx.Client, name: object, code: str
) -> None:
    for response in (sign_up(client, device_name=name), log_in(client, device_name=name)):
        assert codes(response) == {"device_name": code}


def test_a_session_tells_when_it_ends_at_the_latest(
    service: Service, client: httpx.Client, alice: str
) -> None:
    (session,) = sessions_in(service.database_url)
    (listed,) = list_sessions(client, alice).json()["sessions"]
    mine = client.get("/me", headers=bearer(alice)).json()["session"]
    opened = log_in(client).json()["session"]
    for shown in (listed, mine):
        assert moment(shown["absolute_expires_at"]) == session["absolute_expires_at"]
    for shown in (opened, mine):
        lifetime = moment(shown["absolute_expires_at"]) - moment(shown["created_at"])
        assert lifetime == timedelta(days=30)


def test_all_other_sessions_can_be_ended(client: httpx.Client, alice: str, bobby: str) -> None:
    others = [log_in_elsewhere(client) for _ in range(3)]
    for other in others:
        assert client.get("/me", headers=bearer(other)).status_code == 200
    response = client.delete("/sessions", headers=bearer(alice))
    assert (response.status_code, response.json()) == (200, {"ended": 3})
    for other in others:
        assert client.get("/me", headers=bearer(other)).status_code == 401
    assert client.get("/me", headers=bearer(alice)).status_code == 200
    assert client.get("/me", headers=bearer(bobby)).status_code == 200


def test_dead_sessions_do_not_count_as_ended(
    service: Service, client: httpx.Client, alice: str
) -> None:
    age_sessions(service.database_url, days=16)
    now = log_in_elsewhere(client)
    assert client.delete("/sessions", headers=bearer(now)).json() == {"ended": 0}


# Routes that require no session, and log-out, which claims those that it ends.
OPEN = {
    ("POST", "/logout"),
    *(("POST", "/signup"), ("POST", "/login"), ("GET", "/healthz"), ("GET", "/readyz")),
    *(("GET", "/openapi.json"), ("GET", "/docs"), ("GET", "/docs/page.js")),
    *(("GET", "/docs/page.css"), ("GET", "/docs/callback"), ("GET", "/docs/callback.js")),
    *(("POST", "/signup/email"), ("POST", "/signup/email/verify"), ("POST", "/undo")),
    *(("POST", "/login/second-factor"), ("POST", "/login/passkey")),
    ("POST", "/login/passkey/options"),
    *(("POST", "/login/oidc/{provider}"), ("POST", "/login/oidc/{provider}/callback")),
    *(("POST", "/login/oidc/{provider}/id-token"), ("POST", "/signup/oidc")),
    *(("POST", "/password-reset"), ("POST", "/password-reset/confirm")),
    *(("GET", "/docs/{name}"), ("GET", "/.well-known/jwks.json")),
}


def test_every_route_but_the_open_ones_and_those_of_programs_requires_a_session() -> None:
    """`tests/programs/test_scopes.py` has those of programs."""
    app = create_app(Settings(), "postgresql://nobody@nowhere/nothing")
    unguarded = {
        (method, route.path_format)
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        for method in handler.http_methods - {"OPTIONS"}
        if require_session not in handler.resolve_guards()
    }
    assert unguarded - set(OPERATIONS) == OPEN


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/sessions"), ("DELETE", "/sessions"), ("DELETE", f"/sessions/{UUID(int=0)}")],
)
def test_sessions_cannot_be_listed_or_ended_without_a_session(
    client: httpx.Client, method: str, path: str
) -> None:
    assert client.request(method, path).json()["code"] == "not_authenticated"


def test_two_cursors_are_refused(client: httpx.Client, alice: str) -> None:
    for _ in range(100):
        log_in_elsewhere(client)
    cursor = list_sessions(client, alice).json()["next"]
    response = client.get(
        "/sessions", headers=bearer(alice), params=[("cursor", cursor), ("cursor", cursor)]
    )
    assert response.status_code == 400
    assert codes(response) == {"cursor": "not_allowed"}
