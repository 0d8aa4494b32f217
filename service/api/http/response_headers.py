"""Headers of every response, whichever part of the service made it."""

from __future__ import annotations

import random
from collections.abc import Callable

from litestar.types import Message, Scope, Send

from service.settings.values import SameSite

RawHeaders = tuple[tuple[bytes, bytes], ...]

# Responses must not be sniffed, executed, framed or embedded cross-origin.
_ALWAYS: RawHeaders = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
# Nor are they cached, unless the handler says so.
_NO_STORE = b"no-store"
# The connection ends with the response (RFC 9112, section 9.6).
_CLOSE = (b"connection", b"close")
# The responses to one origin differ from those to another, and to none.
_VARY: RawHeaders = ((b"vary", b"Origin"),)

_EVERY_ORIGIN: RawHeaders = ((b"access-control-allow-origin", b"*"),)

# `default-src` does not cover the last three (CSP 3, section 6.1).
DATA_POLICY = b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def request_id_of(scope: Scope) -> str:
    """Return the id of a request, for its response and the log. A client cannot choose it."""
    state = scope["state"]
    if "request_id" not in state:
        # An identifier, not a secret: the faster generator will do.
        state["request_id"] = f"{random.getrandbits(128):032x}"
    return str(state["request_id"])


def cookie_attributes(samesite: SameSite, *, secure: bool, domain: str | None = None) -> str:
    """Return what follows the value and lifetime of a cookie that scripts cannot read (RFC 6265).

    Without ``domain`` the cookie is sent to this host only.
    """
    attributes = f"; HttpOnly; Path=/; SameSite={samesite.capitalize()}"
    if domain is not None:
        attributes += f"; Domain={domain}"
    return attributes + "; Secure" if secure else attributes


def queue_cookie(scope: Scope, cookie: str) -> None:
    """Send a ``Set-Cookie`` header with the response; the last call for a cookie's name counts."""
    cookies: dict[str, str] = scope["state"].setdefault("set_cookies", {})
    cookies[cookie.partition("=")[0]] = cookie


def set_content_policy(scope: Scope, policy: str) -> None:
    """Send a ``Content-Security-Policy`` other than `DATA_POLICY`, for a page."""
    scope["state"]["content_policy"] = policy.encode()


def allow_caching(scope: Scope, seconds: int) -> None:
    """Let everybody keep the response for so long."""
    scope["state"]["cache_control"] = f"public, max-age={seconds}".encode()


def allow_every_origin(scope: Scope) -> None:
    """Let pages of every origin read the response, without credentials.

    For an allowed origin the headers stay as they are: with ``*`` browsers do not show the response
    to a request with credentials.
    """
    if not scope["state"].get("cors_headers"):
        set_cors_headers(scope, _EVERY_ORIGIN)


def set_cors_headers(scope: Scope, headers: RawHeaders) -> None:
    """Send these headers, by which a page of another origin may read the response."""
    scope["state"]["cors_headers"] = headers


def with_head(allow: str) -> str:
    """Return a value of ``Allow`` with HEAD where there is GET, in alphabetical order."""
    methods = set(allow.split(", "))
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


class ResponseHeaders:
    """The headers that are added to every response.

    Litestar has a hook for it, ``before_send``, which costs two more calls for each message.
    """

    def __init__(self, *, hsts: str | None, varies: bool, is_draining: Callable[[], bool]) -> None:
        """``hsts`` is the value of ``Strict-Transport-Security``, if it is sent.

        ``varies``: responses depend on ``Origin``. While the service drains, each response closes
        its connection: one that is idle in the end is closed amid the client's next request.
        """
        self._is_draining = is_draining
        self._always = _ALWAYS + (_VARY if varies else ())
        if hsts is not None:
            self._always += ((b"strict-transport-security", hsts.encode()),)

    def added_by(self, send: Send, scope: Scope) -> Send:
        """Return a ``send`` that adds the headers to the response to a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message["headers"], *self._always, *_of_request(scope)]
                if self._is_draining() and _CLOSE not in headers:
                    headers.append(_CLOSE)
                message["headers"] = headers
            await send(message)

        return send_with_headers


def _of_request(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the headers that depend on the request."""
    state = scope["state"]
    headers = [
        (b"cache-control", state.get("cache_control", _NO_STORE)),
        (b"content-security-policy", state.get("content_policy", DATA_POLICY)),
        (b"x-request-id", request_id_of(scope).encode()),
        *state.get("cors_headers", ()),
    ]
    if cookies := state.get("set_cookies"):
        headers += [(b"set-cookie", cookie.encode()) for cookie in cookies.values()]
    return headers
