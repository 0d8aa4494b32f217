"""Headers of every response, whichever part of the service made it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from litestar.types import Message, Scope

RawHeaders = tuple[tuple[bytes, bytes], ...]

# Responses must not be cached, sniffed, executed, framed or embedded cross-origin.
_ALWAYS: RawHeaders = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
# The responses to one origin differ from those to another, and to none.
_VARY: RawHeaders = ((b"vary", b"Origin"),)

DATA_POLICY = b"default-src 'none'; frame-ancestors 'none'"


def request_id_of(scope: Scope) -> str:
    """Return the id of a request, for its response and the log. A client cannot choose it."""
    state = scope["state"]
    if "request_id" not in state:
        # An identifier, not a secret: the faster generator will do.
        state["request_id"] = f"{random.getrandbits(128):032x}"
    return str(state["request_id"])


def queue_cookie(scope: Scope, cookie: str) -> None:
    """Send a ``Set-Cookie`` header with the response to a request; the last call counts."""
    scope["state"]["set_cookie"] = cookie


def set_content_policy(scope: Scope, policy: str) -> None:
    """Send a ``Content-Security-Policy`` other than `DATA_POLICY`, for a page."""
    scope["state"]["content_policy"] = policy.encode()


def set_cors_headers(scope: Scope, headers: RawHeaders) -> None:
    """Send these headers, by which a page of another origin may read the response."""
    scope["state"]["cors_headers"] = headers


def with_head(allow: str) -> str:
    """Return a value of ``Allow`` with HEAD where there is GET, in alphabetical order."""
    methods = set(allow.split(", "))
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


def response_headers(
    *, hsts: str | None, varies: bool
) -> Callable[[Message, Scope], Awaitable[None]]:
    """Return Litestar's ``before_send`` hook that adds the headers.

    ``hsts`` is the value of ``Strict-Transport-Security``, if it is sent; ``varies`` whether
    responses depend on ``Origin``.
    """
    always = _ALWAYS + (_VARY if varies else ())
    if hsts is not None:
        always += ((b"strict-transport-security", hsts.encode()),)

    async def add_headers(message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        state = scope["state"]
        headers = [
            *message["headers"],
            *always,
            (b"content-security-policy", state.get("content_policy", DATA_POLICY)),
            (b"x-request-id", request_id_of(scope).encode()),
            *state.get("cors_headers", ()),
        ]
        if cookie := state.get("set_cookie"):
            headers.append((b"set-cookie", cookie.encode()))
        message["headers"] = headers

    return add_headers
