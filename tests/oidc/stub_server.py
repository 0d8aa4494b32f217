"""An HTTP server on this machine whose answers a test decides."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from urllib.parse import parse_qsl
from weakref import WeakSet

import msgspec
from msgspec import Struct

from tests.services import PATIENCE


class Request(Struct, frozen=True, kw_only=True):
    """A request that the provider has received."""

    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, str]


class Answer(Struct, kw_only=True):
    """An answer: a document, or a text as it is.

    ``held_until``: the answer comes once this is set. ``delay``: it comes so many seconds later.
    ``drips``: it comes byte by byte, for ever.
    """

    document: object = None
    text: str | bytes | None = None
    status: int = 200
    headers: dict[str, str] = {}
    held_until: Event | None = None
    delay: float = 0
    drips: bool = False

    @property
    def body(self) -> bytes:
        if self.text is None:
            return msgspec.json.encode(self.document)
        return self.text if isinstance(self.text, bytes) else self.text.encode()


# A service that is forked from the tests would listen, too, and never answer.
_servers: WeakSet[ThreadingHTTPServer] = WeakSet()


def _close_in_child() -> None:
    for server in _servers:
        server.socket.close()


os.register_at_fork(after_in_child=_close_in_child)


class StubServer:
    """A server that answers as ``answer_to`` says, in a thread for each connection."""

    def __init__(
        self, answer_to: Callable[[Request], Answer], tls: ssl.SSLContext | None = None
    ) -> None:
        handler = type("Handler", (_Handler,), {"answer_to": staticmethod(answer_to)})
        self._server = _Server(("127.0.0.1", 0), handler)
        _servers.add(self._server)
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        if tls is not None:
            # A handshake that fails is not to end the thread that accepts connections.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self.url = f"https://localhost:{self._server.server_port}"

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        if self._thread.ident is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    # Connections that wait to be accepted: beyond 5, which is usual, some are reset.
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    answer_to: Callable[[Request], Answer]

    def do_GET(self) -> None:
        self._respond("")

    def do_POST(self) -> None:
        self._respond(self.rfile.read(int(self.headers["content-length"])).decode())

    def handle(self) -> None:
        with suppress(OSError):
            super().handle()

    def log_message(self, *args: object) -> None:
        """Nothing: tests look at the requests."""

    def _respond(self, body: str) -> None:
        request = Request(
            method=self.command,
            path=self.path,
            headers={name.lower(): text for name, text in self.headers.items()},
            form=dict(parse_qsl(body, keep_blank_values=True)),
        )
        answer = self.answer_to(request)
        if answer.held_until is not None:
            answer.held_until.wait(PATIENCE)
        time.sleep(answer.delay)
        try:
            self._send(answer)
        except OSError:
            # The client has gone away, which is what some tests are about.
            self.close_connection = True

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        headers = {"Content-Type": "application/json"} | answer.headers
        if not answer.drips:
            headers["Content-Length"] = str(len(answer.body))
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(answer.body)
        while answer.drips:
            self.wfile.write(b" ")
            time.sleep(0.01)
