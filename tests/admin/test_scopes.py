"""Which scope each endpoint needs, and what no scope permits (P6)."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from service.model.service_tokens import Scope
from tests.admin.conftest import USERS, Program
from tests.databases import execute, fetch
from tests.factories import bearer, cookie, log_in, sign_up, token_of
from tests.service_pool import ServicePool
from tests.services import Service

PASSKEY = "00000000-0000-4000-8000-000000000001"
USER = "{user}"

# Method, path, body, the scopes that are needed, and the status with them.
ENDPOINTS: list[tuple[str, str, Any, set[Scope], int]] = [
    ("GET", "", None, {Scope.USERS_READ}, 200),
    ("POST", "", {"username": "Bobby"}, {Scope.USERS_WRITE}, 201),
    (
        *("POST", "", {"username": "Bobby", "roles": ["a"]}),
        *({Scope.USERS_WRITE, Scope.ROLES_WRITE}, 201),
    ),
    ("GET", f"/{USER}", None, {Scope.USERS_READ}, 200),
    ("PATCH", f"/{USER}", {"disabled": True}, {Scope.USERS_WRITE}, 200),
    ("PATCH", f"/{USER}", {"roles": ["a"]}, {Scope.USERS_WRITE, Scope.ROLES_WRITE}, 200),
    ("PATCH", f"/{USER}", {"roles": []}, {Scope.USERS_WRITE, Scope.ROLES_WRITE}, 200),
    ("DELETE", f"/{USER}", None, {Scope.USERS_WRITE}, 204),
    ("GET", f"/{USER}/sessions", None, {Scope.SESSIONS_READ}, 200),
    ("DELETE", f"/{USER}/sessions", None, {Scope.SESSIONS_WRITE}, 200),
    ("DELETE", f"/{USER}/sessions/{PASSKEY}", None, {Scope.SESSIONS_WRITE}, 404),
    ("GET", f"/{USER}/factors", None, {Scope.USERS_READ}, 200),
    ("DELETE", f"/{USER}/factors/totp", None, {Scope.USERS_RECOVER}, 404),
    ("DELETE", f"/{USER}/factors/{PASSKEY}", None, {Scope.USERS_RECOVER}, 404),
    (
        *("POST", f"/{USER}/password-reset", {"deliver": "return"}),
        *({Scope.USERS_RECOVER}, 200),
    ),
]


@pytest.fixture
def service(services: ServicePool) -> Service:
    return services.service({"OSTIARY_LOG_FORMAT": "json"})


def send(program: Program, user_id: str, method: str, path: str, body: Any) -> httpx.Response:
    return program.send(method, USERS + path.replace(USER, user_id), json=body)


@pytest.mark.parametrize(("method", "path", "body", "needed", "status"), ENDPOINTS)
def test_an_endpoint_needs_its_scopes_and_no_others(
    service: Service,
    alice: str,
    method: str,
    path: str,
    body: Any,
    needed: set[Scope],
    status: int,
) -> None:
    for missing in needed:
        program = Program(service, *({*Scope} - {missing}))
        refused = send(program, alice, method, path, body)
        assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
        assert f'scope="{missing}"' in refused.headers["www-authenticate"]
        (line,) = [
            json.loads(line)
            for line in service.logged().splitlines()
            if f'"{refused.headers["x-request-id"]}"' in line and '"audit"' in line
        ]
        assert (line["event"], line["by"], line["scope"]) == ("scope_refused", "program", missing)
        assert line["service_token_id"] in service_tokens_in(service)
    answer = send(Program(service, *needed), alice, method, path, body)
    assert answer.status_code == status, answer.text


def test_all_endpoints_are_in_the_table(services: ServicePool) -> None:
    with services.service().client() as client:
        document = client.get("/openapi.json").json()
    described = {
        (method.upper(), path.removeprefix(USERS))
        for path, operations in document["paths"].items()
        for method in operations
        if path.startswith(USERS)
    }
    tested = {
        (method, path.replace(USER, "{user_id}").replace(PASSKEY, "{id}").replace("totp", "{id}"))
        for method, path, *_ in ENDPOINTS
    }
    assert tested == {
        (method, path.replace("{session_id}", "{id}").replace("{factor_id}", "{id}"))
        for method, path in described
    }


@pytest.mark.parametrize(("method", "path", "body"), [each[:3] for each in ENDPOINTS])
def test_nothing_but_a_service_token_counts(
    client: httpx.Client, service: Service, alice: str, method: str, path: str, body: Any
) -> None:
    """Not even the session of a user who has every role."""
    execute(service.database_url, """UPDATE "user" SET roles = '{admin}'""")
    client.cookies.clear()
    signed_up = sign_up(client, "Carol")
    token, program = token_of(signed_up), Program(service, *Scope)
    client.cookies.clear()
    url = USERS + path.replace(USER, alice)
    headers: list[dict[str, str]] = [
        {},
        cookie(token),
        bearer(token),
        cookie(program.token),
        {"X-API-Key": program.token},
    ]
    for each in headers:
        refused = client.request(method, url, json=body, headers=each)
        assert (refused.status_code, refused.json()["code"]) == (401, "invalid_service_token")
        assert refused.headers["www-authenticate"].startswith("Bearer")
    assert client.request(method, f"{url}?access_token={program.token}").status_code in {401, 415}


@pytest.mark.parametrize("path", ["/me", "/sessions"])
def test_a_service_token_opens_no_session(program: Program, path: str) -> None:
    assert program.get(path).status_code == 401
    assert program.client.get(path, headers=cookie(program.token)).status_code == 401


ORIGIN = "https://app.example.com"


@pytest.mark.parametrize(
    "path", [USERS, f"{USERS}/{PASSKEY}", f"{USERS}/{PASSKEY}/sessions", "/admin/invitations"]
)
def test_no_page_reads_a_response_even_of_a_listed_origin(services: ServicePool, path: str) -> None:
    service = services.service({"OSTIARY_ALLOWED_ORIGINS": ORIGIN})
    program = Program(service, *Scope)
    preflight = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    with service.client() as browser:
        answers = [
            program.send("GET", path, headers={"Origin": ORIGIN}),
            program.send("OPTIONS", path, headers=preflight),
            browser.options(path, headers=preflight),
        ]
    for answer in answers:
        allowed = {name for name in answer.headers if name.startswith("access-control-")}
        assert allowed == set()


EVENTS = [
    ("GET", "", None, "users_listed"),
    ("POST", "", {"username": "Bobby"}, "user_created"),
    ("GET", f"/{USER}", None, "user_read"),
    ("PATCH", f"/{USER}", {"roles": ["a"]}, "roles_changed"),
    ("PATCH", f"/{USER}", {"metadata": {"a": 1}}, "metadata_changed"),
    ("PATCH", f"/{USER}", {"username": "Alicia"}, "username_changed"),
    ("PATCH", f"/{USER}", {"disabled": True}, "user_disabled"),
    ("DELETE", f"/{USER}", None, "user_deleted"),
    ("GET", f"/{USER}/sessions", None, "sessions_read"),
    ("DELETE", f"/{USER}/sessions", None, "all_sessions_revoked"),
    ("GET", f"/{USER}/factors", None, "factors_read"),
    ("POST", f"/{USER}/password-reset", {"deliver": "return"}, "reset_link_made"),
]


@pytest.mark.parametrize(("method", "path", "body", "event"), EVENTS)
def test_each_call_is_recorded_with_the_service_token(
    program: Program, service: Service, alice: str, method: str, path: str, body: Any, event: str
) -> None:
    line = record_of(send(program, alice, method, path, body), service)
    assert (line["event"], line["by"], line["logger"]) == (event, "program", "audit")
    (row,) = service_tokens_in(service)
    assert line["service_token_id"] == row
    if USER in path:
        assert line["user_id"] == alice
    assert program.token not in service.logged()


def service_tokens_in(service: Service) -> list[str]:
    rows = fetch(service.database_url, "SELECT id FROM service_token")
    return [str(row["id"]) for row in rows]


def test_a_change_of_roles_is_recorded_with_those_that_are_left(
    program: Program, service: Service, alice: str
) -> None:
    program.change(alice, roles=["admin", "editor"])
    line = record_of(program.change(alice, roles=["editor", "a"]), service)
    assert (line["event"], line["user_id"]) == ("roles_changed", alice)
    assert line["roles"] == "a editor"


def test_disabling_is_recorded_with_the_sessions_that_it_ended(
    program: Program, service: Service, client: httpx.Client, alice: str
) -> None:
    client.cookies.clear()
    log_in(client)
    line = record_of(program.change(alice, disabled=True), service)
    assert (line["event"], line["user_id"]) == ("user_disabled", alice)
    assert line["ended"] == 2


def test_another_reason_is_recorded_as_disabling_that_ended_nothing(
    program: Program, service: Service, alice: str
) -> None:
    program.change(alice, disabled=True)
    line = record_of(program.change(alice, disabled_reason="Not paid."), service)
    assert (line["event"], line["user_id"], line["ended"]) == ("user_disabled", alice, 0)


def test_enabling_is_recorded(program: Program, service: Service, alice: str) -> None:
    program.change(alice, disabled=True)
    line = record_of(program.change(alice, disabled=False), service)
    assert (line["event"], line["user_id"]) == ("user_enabled", alice)


@pytest.mark.parametrize(("query", "names"), [({}, 2), ({"username": ""}, 2), ({"email": ""}, 3)])
def test_a_list_is_recorded_with_the_number_of_users_on_the_page(
    program: Program, service: Service, query: dict[str, str], names: int
) -> None:
    """A user with several addresses is one, of whom there may be several names on a page."""
    for name in ("Alice", "Bobby", "Carol"):
        program.create(username=name, email=f"{name}@example.com")
    add = "INSERT INTO key SELECT 'email', 'a', user_id, 'a' FROM key WHERE name = 'alice'"
    execute(service.database_url, add)
    line = record_of(program.get(USERS, limit=names, **query), service)
    assert (line["event"], line["number"]) == ("users_listed", 2)


def test_reading_sessions_is_recorded_with_their_number(
    program: Program, service: Service, client: httpx.Client, alice: str
) -> None:
    client.cookies.clear()
    log_in(client)
    line = record_of(program.get(f"{USERS}/{alice}/sessions"), service)
    assert (line["event"], line["user_id"], line["number"]) == ("sessions_read", alice, 2)


def test_a_reset_link_is_recorded_with_the_way_in_which_it_reaches_the_user(
    program: Program, service: Service, alice: str
) -> None:
    made = program.send("POST", f"{USERS}/{alice}/password-reset", json={"deliver": "return"})
    line = record_of(made, service)
    assert (line["event"], line["user_id"]) == ("reset_link_made", alice)
    assert line["deliver"] == "return"


def test_roles_of_new_users_and_invitations_are_recorded(
    program: Program, service: Service
) -> None:
    """Whoever reads the trail finds each way in which a program gives roles."""
    answers = [
        program.create(username="Bobby", roles=["admin", "a"]),
        program.send("POST", "/admin/invitations", json={"roles": ["admin", "a"]}),
    ]
    for answer in answers:
        assert record_of(answer, service)["roles"] == "a admin"


def test_reading_invitations_is_recorded(program: Program, service: Service) -> None:
    program.send("POST", "/admin/invitations", json={})
    line = record_of(program.get("/admin/invitations"), service)
    assert (line["event"], line["by"], line["number"]) == ("invitations_listed", "program", 1)
    assert [line["service_token_id"]] == service_tokens_in(service)


def record_of(answer: httpx.Response, service: Service) -> dict[str, Any]:
    """Return what was recorded of a request."""
    assert answer.is_success, answer.text
    marked = f'"{answer.headers["x-request-id"]}"'
    (line,) = [json.loads(each) for each in service.logged().splitlines() if marked in each]
    return dict(line)
