"""Headers that every answer has, whoever made it: an endpoint, an error, or the router."""

from __future__ import annotations

import random

from litestar.types import Message, Scope

_ALWAYS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


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


async def add_headers(message: Message, scope: Scope) -> None:
    """Litestar's ``before_send`` hook."""
    if message["type"] != "http.response.start":
        return
    headers = [
        *message["headers"],
        *_ALWAYS,
        (b"x-request-id", request_id_of(scope).encode()),
    ]
    if cookie := scope["state"].get("set_cookie"):
        headers.append((b"set-cookie", cookie.encode()))
    message["headers"] = headers
