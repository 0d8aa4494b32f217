"""A service of a later version, with codes that the clients do not know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

PROBLEM = {
    "type": "urn:ostiary:problem:later",
    "title": "A problem of a later version",
    "status": 400,
    "code": "later",
    "detail": "This version does not know it.",
    "request_id": "5f0c6f0e4b5c4f6f8f0c9c8f0a1b2c3d",
    "errors": [{"field": "later_field", "code": "later_code", "message": "Nor this one."}],
    "later_member": {},
}


class LaterService(BaseHTTPRequestHandler):
    """Answers each request with the problem."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = json.dumps(PROBLEM).encode()
        self.send_response(400)
        self.send_header("Content-Type", "application/problem+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.do_POST()

    def do_PUT(self) -> None:
        self.do_POST()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def later_service() -> Iterator[str]:
    """Run the service, and return its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), LaterService)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
