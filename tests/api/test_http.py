"""HTTP/1.1: malformed and unusual heads, bodies and connections."""

from __future__ import annotations

import re
import socket
from contextlib import closing, suppress
from urllib.parse import urlsplit

import pytest

from tests.factories import sign_up, token_of
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, PATIENCE, Service

POST = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
CLOSE = b"Connection: close\r\n"
BODY = b'{"username": "Alice", "password": "wrong"}'


@pytest.fixture
def service(services: ServicePool) -> Service:
    return services.service(NO_LIMITS)


@pytest.fixture
def impatient(services: ServicePool) -> Service:
    """Return a service that waits for a client for one second."""
    return services.service(
        {"OSTIARY_CLIENT_TIMEOUT": "1s", "OSTIARY_HEAD_TIMEOUT": "1s", **NO_LIMITS}
    )


def connect(service: Service) -> socket.socket:
    parts = urlsplit(service.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)


def read(connection: socket.socket) -> bytes:
    """Read until the service closes the connection."""
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


def send(service: Service, *parts: bytes) -> bytes:
    with closing(connect(service)) as connection:
        for part in parts:
            connection.sendall(part)
        return read(connection)


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answers)]


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


CHUNKED = POST + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (GET + b"X: a\r\n b\r\n\r\n", 400),
        (GET + b"X: a\0b\r\n\r\n", 400),
        (GET + b"X : a\r\n\r\n", 400),
        (b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (POST + b"Content-Length: x\r\n\r\n", 400),
        (POST + b"Content-Length: -5\r\n\r\n", 400),
        (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
        (GET + b"X: " + b"a" * 100_000 + b"\r\n\r\n", 431),
        (GET + b"".join(b"X%d: 1\r\n" % n for n in range(120)) + b"\r\n", 431),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
    ],
)
def test_malformed_requests_are_refused_and_the_connection_is_closed(
    service: Service, sent: bytes, status: int
) -> None:
    assert statuses(send(service, sent)) == [status]


@pytest.mark.parametrize("head", [POST, b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_length_with_thousands_of_zeros_is_the_number(service: Service, head: bytes) -> None:
    """Python converts no number of so many digits."""
    length = b"Content-Length: " + b"0" * 5000 + b"2\r\n\r\n"
    answer = send(service, head + CLOSE + length + b"{}")
    assert b"application/problem+json" in answer
    assert "Traceback" not in service.logged()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (CHUNKED + chunk(BODY) + b"0\r\n\r\n", 401),
        (CHUNKED + b"".join(chunk(bytes([byte])) for byte in BODY) + b"0\r\n\r\n", 401),
        (CHUNKED + b"zz\r\n" + BODY, 400),
        (CHUNKED + chunk(b" " * 20_000) + b"0\r\n\r\n", 413),
        (CHUNKED + chunk(b" " * 9_000) * 2 + b"0\r\n\r\n", 413),
        # Proxies that ignore the chunks allow request smuggling: the chunks take precedence.
        (POST + CLOSE + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(BODY)
         + b"0\r\n\r\n", 401),
    ],
)  # fmt: skip
def test_chunked_bodies_are_decoded_and_malformed_ones_refused(
    service: Service, sent: bytes, status: int
) -> None:
    assert statuses(send(service, sent)) == [status]


@pytest.mark.parametrize("sent", [b"ffffffffffffffff\r\n" + BODY, chunk(BODY) + b"0"])
def test_an_incomplete_chunked_body_is_408(impatient: Service, sent: bytes) -> None:
    assert statuses(send(impatient, CHUNKED + sent)) == [408]


def test_two_equal_lengths_are_one(service: Service) -> None:
    """RFC 9112, section 6.3, permits it. The service sees one: the server drops the other."""
    length = b"Content-Length: %d\r\n" % len(BODY)
    log_in = POST + length * 2 + b"\r\n" + BODY
    assert statuses(send(service, log_in + GET + CLOSE + b"\r\n")) == [401, 200]


def test_a_truncated_body_is_not_logged_as_an_internal_error(service: Service) -> None:
    with closing(connect(service)) as connection:
        connection.sendall(POST + b"Content-Length: 100\r\n\r\n" + BODY)
        connection.shutdown(socket.SHUT_WR)
        read(connection)
    assert "internal_error" not in service.logged()


def test_an_incomplete_body_is_408(impatient: Service) -> None:
    answer = send(impatient, POST + b"Content-Length: 100\r\n\r\n" + BODY)
    assert statuses(answer) == [408]
    assert b'"request_timeout"' in answer
    assert b"connection: close" in answer


CHANGE = b"PUT /me/password HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n" % len(BODY)


@pytest.mark.parametrize("more", [b"", b"Expect: 100-continue\r\n"])
def test_an_answer_without_the_body_says_that_the_connection_is_closed(
    service: Service, more: bytes
) -> None:
    answer = send(service, CHANGE + more + b"\r\n")
    assert statuses(answer) == [401]
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
        connection.sendall(CHANGE + b"\r\n")
        assert statuses(send(service, GET + CLOSE + b"\r\n")) == [200]
        connection.sendall(BODY + GET + CLOSE + b"\r\n")
        return read(connection)
    return b"cut"


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", GET])
def test_an_incomplete_head_closes_the_connection(impatient: Service, sent: bytes) -> None:
    assert statuses(send(impatient, sent)) in ([], [408])


def test_an_idle_connection_is_closed(impatient: Service) -> None:
    assert statuses(send(impatient, GET + b"\r\n")) == [200]


def test_pipelined_requests_are_answered_in_order(service: Service) -> None:
    me = b"GET /me HTTP/1.1\r\nHost: localhost\r\n\r\n"
    log_in = POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    last = GET + CLOSE + b"\r\n"
    assert statuses(send(service, me + log_in + GET + b"\r\n" + me + last)) == [
        *(401, 401, 200, 401, 200)
    ]


def test_a_body_can_arrive_byte_by_byte(service: Service) -> None:
    head = POST + CLOSE + b"Content-Length: %d\r\n\r\n" % len(BODY)
    assert statuses(send(service, head, *(bytes([byte]) for byte in BODY))) == [401]


def me_with(service: Service, cookies: bytes) -> int:
    sent = b"GET /me HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + cookies + b"\r\n"
    (status,) = statuses(send(service, sent))
    return status


def test_other_cookies_are_ignored_even_if_malformed(service: Service) -> None:
    with service.client() as client:
        ours = b"auth_session=" + token_of(sign_up(client, "Cookie")).encode()
    many = b"; ".join(b"c%d=1" % n for n in range(2000))
    for others in (many, b"\xe9=\xff", b"=", b";;;", b"a", b'"', b"__Host-auth_session=x"):
        assert me_with(service, b"Cookie: " + others + b"; " + ours + b"\r\n") == 200
        assert me_with(service, b"Cookie: " + ours + b";" + others + b"\r\n") == 200
        assert me_with(service, b"Cookie: " + others + b"\r\nCookie: " + ours + b"\r\n") == 200


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"x", b"\xff" * 64, b"=" * 64, b"A" * 63, b"A" * 65, b"A" * 20_000, b"A" * 64),
        *(b"+/" * 32, b"A" * 60 + b"====", b"A A" * 21, b'"' + b"A" * 62 + b'"', b"%41" * 21),
    ],
)
def test_an_invalid_cookie_is_401(service: Service, value: bytes) -> None:
    assert me_with(service, b"Cookie: auth_session=" + value + b"\r\n") == 401


def test_trace_is_not_allowed(service: Service) -> None:
    (status,) = statuses(
        send(service, b"TRACE /me HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + b"\r\n")
    )
    assert status == 405


@pytest.mark.parametrize("method", [b"CONNECT", b"FOO", b"PRI", b"get", b"\xe9"])
def test_unsupported_methods_are_refused(service: Service, method: bytes) -> None:
    (status,) = statuses(
        send(service, method + b" /me HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + b"\r\n")
    )
    assert status in {400, 404, 405}


@pytest.mark.parametrize(
    "path",
    [
        *(b"/../../etc/passwd", b"/docs/..%2f..%2fpyproject.toml", b"/docs/%2e%2e/x", b"//me"),
        *(b"/sessions/%00", b"/sessions/%ff", b"/sessions/a%2fb", b"/me/", b"/ME", b"/%6de", b"*"),
    ],
)
def test_unusual_paths_are_refused(service: Service, path: bytes) -> None:
    sent = b"DELETE " + path + b" HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + b"\r\n"
    (status,) = statuses(send(service, sent))
    assert 400 <= status < 500
