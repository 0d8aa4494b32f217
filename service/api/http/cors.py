"""CORS (Fetch standard, section 3.2): which pages may read responses, with cookies.

Litestar's middleware refuses preflights as text, and sends ``Vary`` with some responses only
(2.25.0).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from service.api.http.errors import OriginRejected, PreflightRejected
from service.api.http.response_headers import RawHeaders
from service.settings.http import HTTPSettings
from service.settings.origins import is_serialised_origin

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
EXPOSED = ("Location", "Retry-After", "WWW-Authenticate", "X-Request-ID")

MAX_LOGGED_LENGTH = 255

# What other programs call, but no page: none may read a response, whatever the settings allow.
OF_PROGRAMS = re.compile(rb"/(?:introspect|admin|verify)(?:/|$)")

# How long a browser may keep the answer to a preflight, in seconds.
MAX_AGE = 600


class CORS:
    """The answers to preflights, and the headers of other responses."""

    def __init__(self, settings: HTTPSettings) -> None:
        self._allowed_headers = settings.cors_allowed_headers
        self._headers = {
            origin.encode(): _headers_for(origin.encode()) for origin in settings.allowed_origins
        }

    def headers_for(self, origin: bytes) -> RawHeaders:
        """Return the headers of a response to a page of an origin; none if it is not allowed."""
        return self._headers.get(origin, ())

    def preflight(self, origin: bytes, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers of the answer to a preflight. The response has `headers_for` as well.

        Raises `OriginRejected` and `PreflightRejected`.
        """
        shown = loggable_origin(origin)
        if origin not in self._headers:
            raise OriginRejected(origin=shown)
        method = headers["access-control-request-method"]
        if method not in METHODS:
            raise PreflightRejected("The method is not allowed.", origin=shown)
        asked = headers.get("access-control-request-headers", "").lower().split(",")
        refused = {name.strip() for name in asked} - self._allowed_headers - {""}
        if refused:
            names = ", ".join(sorted(refused))[:MAX_LOGGED_LENGTH]
            message = f"Not in OSTIARY_CORS_ALLOWED_HEADERS: {names}"
            raise PreflightRejected(message, origin=shown)
        return {
            "Access-Control-Allow-Methods": ", ".join(METHODS),
            "Access-Control-Allow-Headers": ", ".join(sorted(self._allowed_headers)),
            "Access-Control-Max-Age": str(MAX_AGE),
        }


def loggable_origin(origin: bytes) -> str:
    """Return an ``Origin`` for the log: only what has the form of one, without control characters.

    Anything else may be a secret in the wrong header.
    """
    text = origin.decode("latin-1")
    is_origin = text == "null" or is_serialised_origin(text)
    return text[:MAX_LOGGED_LENGTH] if is_origin else "malformed"


def _headers_for(origin: bytes) -> RawHeaders:
    return (
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", ", ".join(EXPOSED).encode()),
    )
