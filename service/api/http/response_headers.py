"""Headers of every response, whichever part of the service made it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from litestar.types import Message, Scope

# Responses must not be cached, sniffed, executed, framed or embedded cross-origin.
_ALWAYS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_OVER_TLS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")

DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"


def request_id_of(scope: Scope) -> str:
    """Return the id of a request, for its response and the log. A client cannot choose it."""
    state = scope["state"]
    if "request_id" not in state:
        # An identifier, not a secret: the faster generator will do.
        state["request_id"] = f"{random.getrandbits(128):032x}"
    return str(state["request_id"])


def queue_cookie(scope: Scope, cookie: str) -> None:
    """Send a ``Set-Cookie`` header with the response; the last call for a cookie's name counts."""
    cookies: dict[str, str] = scope["state"].setdefault("set_cookies", {})
    cookies[cookie.partition("=")[0]] = cookie


def set_content_policy(scope: Scope, policy: str) -> None:
    """Send a ``Content-Security-Policy`` other than `DATA_POLICY`, for a page."""
    scope["state"]["content_policy"] = policy


def response_headers(*, over_tls: bool) -> Callable[[Message, Scope], Awaitable[None]]:
    """Return Litestar's ``before_send`` hook that adds the headers.

    ``over_tls`` adds ``Strict-Transport-Security``.
    """
    always = (*_ALWAYS, _OVER_TLS) if over_tls else _ALWAYS

    async def add_headers(message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        state = scope["state"]
        headers = [
            *message["headers"],
            *always,
            (b"content-security-policy", state.get("content_policy", DATA_POLICY).encode()),
            (b"x-request-id", request_id_of(scope).encode()),
        ]
        cookies: dict[str, str] = state.get("set_cookies", {})
        headers += [(b"set-cookie", cookie.encode()) for cookie in cookies.values()]
        message["headers"] = headers

    return add_headers
