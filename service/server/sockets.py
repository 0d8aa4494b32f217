"""The sockets that workers listen on, with what the kernel does for each connection."""

from __future__ import annotations

import socket
from typing import Any, TypeAlias

SocketAddress: TypeAlias = tuple[socket.AddressFamily, tuple[Any, ...]]

# The send buffer of a connection, in bytes; Linux doubles it. Responses are small, and without a
# bound each client that does not read them could occupy megabytes of the kernel's memory.
SEND_BUFFER = 64 * 1024


def resolve(host: str, port: int) -> SocketAddress:
    """Return the address to listen on, for a name its first one. Raises `OSError`."""
    found = socket.getaddrinfo(
        host.removeprefix("[").removesuffix("]"),
        port,
        type=socket.SOCK_STREAM,
        flags=socket.AI_PASSIVE,
    )
    return found[0][0], found[0][4]


def require_free(address: SocketAddress) -> None:
    """Check that nothing listens on an address. Raises `OSError`.

    The sockets of the workers share their port with any program of the same user that shares it
    too (SO_REUSEPORT): requests would be divided between two services.
    """
    with _bound(address, share=False):
        """It could be bound."""


def shared_socket(address: SocketAddress, read_timeout: float) -> socket.socket:
    """Return a socket that is bound, and may be one of several on the address.

    What it sets is inherited by the connections. The kernel closes one whose client does not read,
    or is gone, for ``read_timeout`` seconds (TCP_USER_TIMEOUT, on Linux); Granian and hyper have
    no time limit for writing a response (Granian 2.8.7, hyperium/hyper#2457).
    """
    made = _bound(address, share=True)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(read_timeout * 1000))
    return made


def _bound(address: SocketAddress, *, share: bool) -> socket.socket:
    made = socket.socket(address[0], socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(address[1])
    except OSError:
        made.close()
        raise
    return made
