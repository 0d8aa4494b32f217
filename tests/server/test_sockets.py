"""The sockets that workers listen on."""

from __future__ import annotations

import socket

import pytest

from service.server.sockets import require_free, resolve, shared_socket
from service.settings.server import ServerSettings


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::1", "[::1]", "::"])  # noqa: S104
def test_addresses_and_names_can_be_listened_on(host: str) -> None:
    try:
        address = resolve(host, 0)
        with shared_socket(address, read_timeout=1) as listening:
            listening.listen()
    except OSError as error:  # A machine without IPv6.
        if ":" not in host:
            raise
        pytest.skip(str(error))


def test_an_address_that_another_service_shares_is_not_free() -> None:
    with shared_socket(resolve("127.0.0.1", 0), read_timeout=1) as first:
        first.listen()
        address = (first.family, first.getsockname())
        shared_socket(address, read_timeout=1).close()
        with pytest.raises(OSError, match="in use"):
            require_free(address)


def test_connections_inherit_the_time_limit_for_readers() -> None:
    with shared_socket(resolve("127.0.0.1", 0), read_timeout=7) as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
            with accepted:
                limit = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert limit == 7000


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://localhost:8000"),
        ("::1", "http://localhost:8000"),
        ("[::1]", "http://localhost:8000"),
        ("localhost", "http://localhost:8000"),
        ("0.0.0.0", "http://localhost:8000"),  # noqa: S104
        ("127.0.0.2", "http://127.0.0.2:8000"),
        ("192.0.2.7", "http://192.0.2.7:8000"),
        ("[2001:db8::7]", "http://[2001:db8::7]:8000"),
    ],
)
def test_the_address_for_a_browser_is_localhost_where_that_leads_here(host: str, url: str) -> None:
    assert ServerSettings(host=host).url == url
