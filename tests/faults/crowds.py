"""Clients that hold connections which they do not use."""

from __future__ import annotations

import selectors
import socket
from contextlib import suppress
from urllib.parse import urlsplit

HALF_A_HEAD = b"GET /me HTTP/1.1\r\nHost: local"

# Answered by more than the buffers of both ends can hold.
MUCH = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 60


class Crowd:
    """Connections that are all alike, and opened again where the service closes them."""

    def __init__(self, url: str, number: int, sent: bytes = b"") -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._sent = sent
        self._selector = selectors.DefaultSelector()
        # How often a connection was opened.
        self.opened = 0
        for _ in range(number):
            self._open()

    def keep_up(self) -> None:
        """Send what is to be sent on new connections, and replace those that were closed."""
        for key, events in self._selector.select(0):
            connection: socket.socket = key.data
            if events & selectors.EVENT_WRITE:
                with suppress(OSError):
                    connection.send(self._sent)
                self._selector.modify(connection, selectors.EVENT_READ, connection)
            elif _is_closed(connection):
                self._close(connection)
                self._open()

    def close(self) -> None:
        """Close all connections."""
        for key in list(self._selector.get_map().values()):
            self._close(key.data)
        self._selector.close()

    def _open(self) -> None:
        connection = socket.socket()
        # The kernel's buffer holds little of what nobody reads.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # A connection that nobody accepts must not stop those that open others.
        connection.setblocking(False)
        connection.connect_ex(self._address)
        self._selector.register(connection, selectors.EVENT_WRITE, connection)
        self.opened += 1

    def _close(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        connection.close()


def _is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
