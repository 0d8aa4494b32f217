"""A server of the files of the single-page app."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SPA = Path(__file__).parents[3] / "examples" / "spa"
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


class SPAServer(ThreadingHTTPServer):
    """Serves the files of the app, with the address of a service in the page."""

    service_url = ""


class Files(BaseHTTPRequestHandler):
    """Answers GET with a file of the app."""

    server: SPAServer

    def do_GET(self) -> None:
        path = SPA / (self.path.lstrip("/") or "index.html")
        self.send_response(200 if path.is_file() else 404)
        self.send_header("Content-Type", TYPES.get(path.suffix, "text/plain"))
        self.end_headers()
        if path.is_file():
            text = path.read_text().replace("http://localhost:8000", self.server.service_url)
            self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""
