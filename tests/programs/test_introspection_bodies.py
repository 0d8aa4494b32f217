"""Bodies of introspection that are late, incomplete or in chunks: it is beside Litestar."""

from __future__ import annotations

import socket
from contextlib import closing, suppress
from typing import Any

import pytest
from litestar.types import HTTPRequestEvent

from service.api.programs.introspected_tokens import receive_parameters
from service.model.deadline import deadline, start_deadline
from service.model.service_tokens import Scope
from tests.api.test_http import CLOSE, GET, chunk, connect, read, send, statuses
from tests.factories import service_token
from tests.service_pool import ServicePool
from tests.services import PATIENCE, Service

BODY = b"token=" + b"A" * 64
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = CLOSE + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def head(service: Service, *, authorised: bool = True) -> bytes:
    """Return the head of a request, but for what tells the length of its body."""
    lines = b"POST /introspect HTTP/1.1\r\nHost: localhost\r\n"
    lines += b"Content-Type: application/x-www-form-urlencoded\r\n"
    if not authorised:
        return lines
    token = service_token(service.database_url, Scope.INTROSPECT)
    return lines + f"Authorization: Bearer {token}\r\n".encode()


@pytest.fixture
def impatient(services: ServicePool) -> Service:
    """Return a service that waits for a client for one second."""
    return services.service({"OSTIARY_CLIENT_TIMEOUT": "1s", "OSTIARY_HEAD_TIMEOUT": "1s"})


def test_an_incomplete_body_is_408_and_closes_the_connection(impatient: Service) -> None:
    answer = send(impatient, head(impatient) + b"Content-Length: 100\r\n\r\n" + BODY)
    assert statuses(answer) == [408]
    assert b"connection: close" in answer


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (chunk(BODY) + END, 200),
        (b"".join(chunk(bytes([byte])) for byte in BODY) + END, 200),
        (b"zz\r\n" + BODY, 400),
        (END, 400),
        (chunk(b"token=" + b"A" * 2 * 1024 * 1024) + END, 413),
    ],
    ids=["a chunk", "many chunks", "malformed", "none", "too large"],
)
def test_chunks_are_decoded_and_malformed_ones_refused(
    service: Service, sent: bytes, status: int
) -> None:
    assert statuses(send(service, head(service) + CHUNKED + sent)) == [status]


def test_a_client_that_leaves_amid_the_body_is_no_internal_error(service: Service) -> None:
    with closing(connect(service)) as connection:
        connection.sendall(head(service) + b"Content-Length: 100\r\n\r\n" + BODY)
        connection.shutdown(socket.SHUT_WR)
        read(connection)
    assert "internal_error" not in service.logged()


def test_requests_follow_each_other_on_a_connection(service: Service) -> None:
    one = head(service) + LENGTH + b"\r\n" + BODY
    assert statuses(send(service, one + one + GET + CLOSE + b"\r\n")) == [200, 200, 200]


@pytest.mark.parametrize(("more", "status"), [(b"", 401), (b"Host: localhost\r\n", 400)])
def test_a_refusal_without_the_body_says_that_the_connection_is_closed(
    service: Service, more: bytes, status: int
) -> None:
    answer = send(service, head(service, authorised=False) + LENGTH + more + b"\r\n")
    assert statuses(answer) == [status]
    assert b"connection: close" in answer


def test_a_refusal_waits_for_the_body_so_that_the_connection_can_be_used_again(
    service: Service,
) -> None:
    """On a very slow machine the body may be too late; then the answer says so."""
    for _ in range(20):
        answers = answers_after_a_late_body(service)
        assert statuses(answers) == [401, 200] or b"connection: close" in answers


def answers_after_a_late_body(service: Service) -> bytes:
    """Send a body when the service, which has one worker, has seen its head; then a request."""
    with closing(connect(service)) as connection, suppress(OSError):
        connection.sendall(head(service, authorised=False) + LENGTH + b"\r\n")
        assert statuses(send(service, GET + CLOSE + b"\r\n")) == [200]
        connection.sendall(BODY + GET + CLOSE + b"\r\n")
        return read(connection)
    return b"connection: close"


async def test_the_time_for_which_a_client_sends_is_not_that_of_the_service() -> None:
    async def receive() -> HTTPRequestEvent:
        return {"type": "http.request", "body": BODY, "more_body": False}

    scope: Any = {"headers": [(b"content-type", b"application/x-www-form-urlencoded")]}
    start_deadline(PATIENCE)
    before = deadline()
    await receive_parameters(scope, receive, PATIENCE)
    assert deadline() > before
