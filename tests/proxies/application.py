"""An application behind a proxy, which trusts the headers and remembers what it was sent."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from msgspec import Struct

# Sent with each answer.
OWN_COOKIE = "own=1; Path=/"


class Seen(Struct, frozen=True):
    """A request as the application has received it."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Return the values of a header, in all spellings that programs take for its name.

        CGI and WSGI make the same name of `-` and `_`, and PHP of `.` too. Empty ones are as good
        as none.
        """
        return [value for each, value in self.headers if value and _folded(each) == _folded(name)]


class Application:
    """The application, and the requests that it has received, oldest first."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.seen: list[Seen] = []


def _folded(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


@contextmanager
def serving_application() -> Iterator[Application]:
    """Serve it on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __getattr__(self, name: str) -> object:
            if name.startswith("do_"):
                return self.answer
            raise AttributeError(name)

        def answer(self) -> None:
            seen = Seen(self.command, self.path, self.headers.items(), self.read_body())
            application.seen.append(seen)
            if "upgrade" in self.headers:
                self.send_response(101)
                self.send_header("Upgrade", "websocket")
                self.send_header("Connection", "Upgrade")
                self.end_headers()
                self.close_connection = True
                return
            by_name = defaultdict(list)
            for name, value in seen.headers:
                by_name[name.lower()].append(value)
            body = json.dumps(by_name).encode()
            self.send_response(200)
            self.send_header("Set-Cookie", OWN_COOKIE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)

        def read_body(self) -> bytes:
            if "chunked" not in self.headers.get("transfer-encoding", ""):
                return self.rfile.read(int(self.headers.get("content-length", "0")))
            body = b""
            while length := int(self.rfile.readline(), 16):
                body += self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    application = Application(server.server_port)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield application
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
