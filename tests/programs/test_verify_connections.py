"""`/verify` on the wire: requests whose body the proxy keeps, and what follows on a connection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.app import api_state, create_app
from service.bootstrap import open_services
from service.settings.variables import read_settings
from tests.api.test_http import CLOSE, connect, read, send, statuses
from tests.programs.forwarding import session_cookie, with_policies
from tests.service_pool import ServicePool
from tests.services import Service, wait_for

ANNOUNCED = [
    b"Content-Length: 77\r\n",
    b"Content-Length: 77\r\nContent-Type: application/json\r\n",
    b"Content-Length: 99999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 77\r\nExpect: 100-continue\r\n",
]


@pytest.fixture
def service(services: ServicePool, tmp_path_factory: pytest.TempPathFactory) -> Service:
    return with_policies(services, Path(tmp_path_factory.getbasetemp()))


@pytest.fixture
def cookie(service: Service) -> Iterator[bytes]:
    with service.client() as client:
        yield b"Cookie: " + session_cookie(client).encode() + b"\r\n"


def head(cookie: bytes, method: bytes = b"GET") -> bytes:
    told = b"X-Forwarded-Method: GET\r\n"
    return method + b" /verify HTTP/1.1\r\nHost: localhost\r\n" + told + cookie


@pytest.mark.parametrize("announced", ANNOUNCED)
@pytest.mark.parametrize("method", [b"GET", b"POST", b"HEAD", b"OPTIONS"])
def test_a_body_that_never_comes_is_not_waited_for(
    service: Service, cookie: bytes, announced: bytes, method: bytes
) -> None:
    """The answer closes the connection: what follows could be the body or a request."""
    for credential, status in ((cookie, 204), (b"", 401)):
        answer = send(service, head(credential, method) + announced + b"\r\n")
        assert statuses(answer) == [status]
        assert b"connection: close" in answer


def test_a_request_that_follows_a_body_is_not_misread(service: Service, cookie: bytes) -> None:
    """The body of the first looks like a request, and is none."""
    smuggled = head(cookie) + b"\r\n"
    first = head(cookie) + b"Content-Length: %d\r\n\r\n" % len(smuggled)
    assert statuses(send(service, first + smuggled + head(cookie) + CLOSE + b"\r\n")) == [204]


@pytest.mark.parametrize("length", [b"", b"Content-Length: 0\r\n"])
def test_a_connection_is_kept_where_there_is_no_body(
    service: Service, cookie: bytes, length: bytes
) -> None:
    asked = head(cookie) + length + b"\r\n"
    answers = send(service, asked + asked + head(b"") + b"\r\n" + head(cookie) + CLOSE + b"\r\n")
    assert statuses(answers) == [204, 204, 401, 204]


def test_a_client_that_leaves_in_the_middle_of_its_body_breaks_nothing(
    service: Service, cookie: bytes
) -> None:
    connection = connect(service)
    connection.sendall(head(cookie, b"POST") + b"Content-Length: 77\r\n\r\nx")
    assert statuses(read(connection)) == [204]
    connection.close()
    assert "internal_error" not in service.logged()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_the_body_is_not_received(tmp_path: Path, method: str) -> None:
    settings = read_settings({"OSTIARY_DATA_DIR": str(tmp_path)})
    app = create_app(settings, "postgresql:///")
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("the body was received")

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-length", b"77")]
    scope: Any = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": "/verify",
        "raw_path": b"/verify",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
    }
    async with open_services(settings, "postgresql:///") as services:
        app.state.api = api_state(settings, services)
        await app(scope, receive, send)
    assert sent[0]["status"] == 401


def test_requests_are_counted_and_logged_by_a_bounded_route(
    services: ServicePool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever path the proxy appends."""
    settings = {"OSTIARY_LOG_REQUESTS": "true", "OSTIARY_LOG_FORMAT": "json"}
    service = with_policies(services, Path(tmp_path_factory.getbasetemp()), **settings)
    with service.client() as client:
        ask_for_three_paths(client)
    expected = [("/verify", 204), ("/verify/{policy}", 204), ("none", 404)]
    lines = [f'"route": "{route}", "status": {status}' for route, status in expected]
    wait_for(lambda: all(line in service.logged() for line in lines), f"{lines} are logged")
    assert "orders" not in service.logged()


def ask_for_three_paths(client: httpx.Client) -> None:
    headers = {"Cookie": session_cookie(client), "X-Forwarded-Method": "GET"}
    for path in ("/verify", "/verify/any/orders/7", "/verify/unknown/orders"):
        client.get(path, headers=headers)
