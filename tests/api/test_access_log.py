"""The access log: a line for each request, if it is wanted."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.factories import bearer, sign_up
from tests.service_pool import ServicePool
from tests.services import Service, wait_for

LOGGED = {
    "OSTIARY_LOG_REQUESTS": "true",
    "OSTIARY_LOG_FORMAT": "json",
    "OSTIARY_LOG_LEVEL": "error",
}


@pytest.fixture
def service(services: ServicePool) -> Service:
    return services.service(LOGGED)


def requests_logged(service: Service, number: int) -> list[dict[str, Any]]:
    """Return the lines of so many requests: a response may arrive before its line is written."""

    def lines() -> list[dict[str, Any]]:
        events = [json.loads(line) for line in service.logged().splitlines()]
        return [event for event in events if event["event"] == "request"]

    wait_for(lambda: len(lines()) >= number, f"{number} requests are logged")
    return lines()


@pytest.mark.parametrize(("path", "status"), [("/me", 200), ("/verify", 204)])
def test_a_request_is_logged_with_its_route_status_duration_and_user(
    service: Service, client: httpx.Client, path: str, status: int
) -> None:
    opened = sign_up(client, transport="bearer").json()
    response = client.get(path, headers=bearer(opened["session"]["token"]))
    _, line = requests_logged(service, 2)
    assert (line["method"], line["route"], line["status"]) == ("GET", path, status)
    assert line["user_id"] == opened["user"]["id"]
    assert line["request_id"] == response.headers["x-request-id"]
    assert 0 < line["duration"] < 60
    assert line["logger"] == "access"


def test_a_request_of_a_program_is_logged_with_its_route(
    service: Service, client: httpx.Client
) -> None:
    client.post("/introspect")
    (line,) = requests_logged(service, 1)
    assert (line["method"], line["route"], line["status"]) == ("POST", "/introspect", 401)


def test_a_refused_request_is_logged_without_a_user(service: Service, client: httpx.Client) -> None:
    client.get("/me", headers=bearer("x" * 64))
    (line,) = requests_logged(service, 1)
    assert (line["route"], line["status"], line["user_id"]) == ("/me", 401, None)


def test_ids_and_unknown_paths_are_not_logged(service: Service, client: httpx.Client) -> None:
    session_id = "0190cafe-0000-7000-8000-000000000000"
    client.delete(f"/sessions/{session_id}")
    client.get("/secret-path?token=secret-token")
    lines = requests_logged(service, 2)
    assert [line["route"] for line in lines] == ["/sessions/{session_id}", "none"]
    assert session_id not in service.logged()
    assert "secret" not in service.logged()


def test_a_request_with_head_is_logged_as_such(service: Service, client: httpx.Client) -> None:
    client.head("/healthz")
    (line,) = requests_logged(service, 1)
    assert (line["method"], line["route"]) == ("HEAD", "/healthz")


def test_requests_are_not_logged_by_default(services: ServicePool) -> None:
    service = services.service({"OSTIARY_LOG_LEVEL": "debug", "OSTIARY_LOG_FORMAT": "json"})
    with service.client() as client:
        sign_up(client)
        client.get("/me")
        # The audit event shows that lines are written.
        wait_for(lambda: "signed_up" in service.logged(), "the sign-up is logged")
    assert '"event": "request"' not in service.logged()
