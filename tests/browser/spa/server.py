"""A server of the files of the single-page app."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

SPA = Path(__file__).parents[3] / "examples" / "spa"
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


class SPAServer(ThreadingHTTPServer):
    """Serves the files of the app, with the address of a service and its providers in the page."""

    service_url = ""
    # What users call the providers, by their names in the settings.
    providers: Mapping[str, str] = MappingProxyType({})

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Files(BaseHTTPRequestHandler):
    """Answers GET with a file of the app."""

    server: SPAServer

    def do_GET(self) -> None:
        path = SPA / (urlsplit(self.path).path.lstrip("/") or "index.html")
        if path.parent.name == "callback" and path.stem in self.server.providers:
            path = path.with_name("google.html")
        self.send_response(200 if path.is_file() else 404)
        self.send_header("Content-Type", TYPES.get(path.suffix, "text/plain"))
        self.end_headers()
        if path.is_file():
            self.wfile.write(self.set_up(path.read_text()).encode())

    def set_up(self, text: str) -> str:
        """Return a text of the app with the address and the providers of the test."""
        providers = escape(json.dumps(dict(self.server.providers)))
        return text.replace("http://localhost:8000", self.server.service_url).replace(
            'name="providers" content="{}"', f'name="providers" content="{providers}"'
        )

    def log_message(self, *_: object) -> None:
        """Say nothing."""
