"""Headers that every answer has, whoever made it: an endpoint, an error, or the router."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from litestar.types import Message, Scope

# An answer is data for whoever asked: it is not kept, guessed at, run, framed or loaded by others.
_ALWAYS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_OVER_TLS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")

DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"


def request_id_of(scope: Scope) -> str:
    """The id of this request, for its answer and the log. Ours: a client's would be a forgery."""
    state = scope["state"]
    if "request_id" not in state:
        # It names a request and guards nothing: no reason to ask the kernel for randomness.
        state["request_id"] = f"{random.getrandbits(128):032x}"
    return str(state["request_id"])


def queue_cookie(scope: Scope, cookie: str) -> None:
    """Have a ``Set-Cookie`` sent with the answer, whichever it will be; the last one counts."""
    scope["state"]["set_cookie"] = cookie


def allow_content(scope: Scope, policy: str) -> None:
    """Have another ``Content-Security-Policy`` sent than that of data: for a page to look at."""
    scope["state"]["content_policy"] = policy


def headers_adder(*, over_tls: bool) -> Callable[[Message, Scope], Awaitable[None]]:
    """Make Litestar's ``before_send`` hook; ``over_tls`` has browsers insist on https."""
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
        if cookie := state.get("set_cookie"):
            headers.append((b"set-cookie", cookie.encode()))
        message["headers"] = headers

    return add_headers
