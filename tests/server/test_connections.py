"""Clients that hold connections: silent ones, idle ones, those that do not read."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest

from service.server.open_files import raise_limit
from tests.factories import cookie, sign_up, token_of
from tests.service_pool import ServicePool
from tests.services import PATIENCE, Service

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
# Answered by more than the buffers of both ends can hold.
MUCH = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 60


def connect(service: Service) -> socket.socket:
    parts = urlsplit(service.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)


@contextmanager
def connections(service: Service, number: int, sent: bytes = b"") -> Iterator[list[socket.socket]]:
    """Open connections, and send the same on each of them."""
    with ExitStack() as stack:
        opened = [stack.enter_context(connect(service)) for _ in range(number)]
        for each in opened:
            each.sendall(sent)
        yield opened


# Beyond what Granian accepts by default; benchmarks/connections.py has more.
THOUSANDS = 2000


def test_thousands_of_silent_and_idle_connections_keep_nobody_out(service: Service) -> None:
    number = min(THOUSANDS, (raise_limit() - 1000) // 2)
    with (
        connections(service, number),
        connections(service, number, HEALTH) as idle,
        service.client() as client,
    ):
        assert all(each.recv(4096).startswith(b"HTTP/1.1 200") for each in idle)
        token = token_of(sign_up(client))
        assert client.get("/me", headers=cookie(token)).status_code == 200


@pytest.fixture
def small(services: ServicePool) -> Service:
    """Return a service with few connections and little time for clients."""
    return services.service(
        {
            "OSTIARY_MAX_CONNECTIONS": "16",
            "OSTIARY_HEAD_TIMEOUT": "1s",
            "OSTIARY_CLIENT_TIMEOUT": "1s",
        }
    )


def test_silent_unfinished_and_idle_connections_give_way(small: Service) -> None:
    with (
        connections(small, 8),
        connections(small, 8, b"GET /me HT"),
        connections(small, 8, HEALTH),
        small.client() as client,
    ):
        assert client.get("/healthz").status_code == 200


def test_connections_that_do_not_read_give_way(small: Service) -> None:
    with ExitStack() as stack:
        for _ in range(16):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            parts = urlsplit(small.url)
            reader.connect((parts.hostname, parts.port))
            reader.sendall(MUCH)
        with small.client() as client:
            assert client.get("/healthz").status_code == 200
