"""What every request passes before it is routed: deadline, path, ``Host``, trace, CORS, HEAD, body.

Litestar routes several spellings of a path alike, knows no HEAD for routes of GET, and has its
middleware behind the router. This is one pass over the headers, on the path of every request.
"""

from __future__ import annotations

import re
from typing import Any

from litestar import Litestar, Request, Response
from litestar.datastructures import Headers
from litestar.exceptions import NotFoundException
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from service.api.http import trace_context
from service.api.http.client_address import ClientAddresses, ForwardingWarning
from service.api.http.cors import CORS, OF_PROGRAMS
from service.api.http.errors import HostRejected, InvalidRequest
from service.api.http.hosts import AllowedHosts, loggable_host
from service.api.http.problems import problem_response
from service.api.http.response_headers import ResponseHeaders, set_cors_headers, with_head
from service.api.http.unread_bodies import WITHOUT_BODY, UnreadBody
from service.model.deadline import start_deadline
from service.settings import Settings

INTROSPECTION_PATH = b"/introspect"
# Requests to this path, and to all below it, are about requests to other applications.
VERIFY_PATH = b"/verify"
_BELOW_VERIFY_PATH = VERIFY_PATH + b"/"

# Paths with parameters, in the one spelling that is accepted: segments of unreserved characters
# (RFC 3986, section 2.3) that begin with no dot.
_PATH = re.compile(rb"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")

_FORWARDING = frozenset(
    {
        *(b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"),
        *(b"x-real-ip", b"true-client-ip", b"cf-connecting-ip"),
    }
)
_NOTICED = _FORWARDING | {trace_context.HEADER}
_WATCHED = _NOTICED | {b"host", b"origin"}


class Entrance:
    """An ASGI application before that of Litestar."""

    def __init__(
        self,
        app: Litestar,
        settings: Settings,
        headers: ResponseHeaders,
        *,
        verify: ASGIApp,
        introspect: ASGIApp,
    ) -> None:
        """``verify`` answers the requests to `VERIFY_PATH`, ``introspect`` those to its own path.

        Both see to bodies that they do not read.
        """
        self._app = app.asgi_handler
        self._verify = verify
        self._introspect = introspect
        self._headers = headers
        self._seconds = settings.server.request_timeout
        self._paths = frozenset(
            route.path.encode() for route in app.routes if "{" not in route.path
        )
        self._hosts = AllowedHosts(
            settings.http.allowed_hosts, is_production=settings.is_production
        )
        self._cors = CORS(settings.http)
        self._warning = (
            ForwardingWarning(ClientAddresses(settings.http)) if settings.is_production else None
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application answer it."""
        start_deadline(self._seconds)
        send = self._headers.added_by(send, scope)
        method = scope["method"]  # type: ignore[typeddict-item]
        path = scope["raw_path"]
        if path == VERIFY_PATH or path.startswith(_BELOW_VERIFY_PATH):
            await self._let_verify(scope, receive, without_body(send) if method == "HEAD" else send)
            return
        app = self._introspect if path == INTROSPECTION_PATH else self._app
        if app is self._app and method not in WITHOUT_BODY:
            body = UnreadBody(scope, receive, send)
            receive, send = body.receive, body.send
        if method == "HEAD":
            # As GET, without the body (RFC 9110, section 9.3.2).
            scope["method"] = "GET"  # type: ignore[typeddict-unknown-key]
            send = without_body(send)
        answer: Response[Any] | None = None
        try:
            origin = self._admit(scope)
            if method == "OPTIONS":
                answer = self._preflight(scope, origin)
                send = listing_head(send)
        except Exception as error:  # noqa: BLE001
            answer = problem_response(Request(scope, receive, send), error)
        if answer is None:
            await app(scope, receive, send)
        else:
            if app is self._introspect:
                body = UnreadBody(scope, receive, send)
                receive, send = body.receive, body.send
            request: Request[Any, Any, Any] = Request(scope, receive, send)
            await answer.to_asgi_response(app=None, request=request)(scope, receive, send)

    async def _let_verify(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request be answered that is about another one.

        It has the ``Host`` and the ``Origin`` of that one, and no page reads the response.
        """
        noticed = {name for name, _ in scope["headers"] if name in _NOTICED}
        if noticed:
            self._notice(scope, noticed)
        await self._verify(scope, receive, send)

    def _admit(self, scope: Scope) -> bytes | None:
        """Check a request. Returns the only ``Origin``, if pages of others may send such requests.

        Raises `InvalidRequest`, `HostRejected` and `NotFoundException`.
        """
        host, origin, hosts, origins, rest = b"", None, 0, 0, set()
        for name, value in scope["headers"]:
            if name in _WATCHED:
                if name == b"host":
                    host, hosts = value, hosts + 1
                elif name == b"origin":
                    origin, origins = value, origins + 1
                else:
                    rest.add(name)
        path = scope["raw_path"]
        if origins > 1 or (origins and OF_PROGRAMS.match(path)):
            origin = None
        elif origin is not None:
            set_cors_headers(scope, self._cors.headers_for(origin))
        if rest:
            self._notice(scope, rest)
        if hosts != 1 or not self._hosts.allow(host):
            refuse_host(scope, host, hosts)
        if path not in self._paths and _PATH.fullmatch(path) is None:
            raise NotFoundException
        return origin

    def _notice(self, scope: Scope, names: set[bytes]) -> None:
        """Let the log tell of headers that do not change the answer."""
        if trace_context.HEADER in names:
            trace_context.bind_trace(scope)
        if self._warning is not None and not names.isdisjoint(_FORWARDING):
            self._warning.check(scope)

    def _preflight(self, scope: Scope, origin: bytes | None) -> Response[None] | None:
        """Return the answer to a preflight; ``None`` for another request with OPTIONS."""
        headers = Headers.from_scope(scope)
        if origin is None or "access-control-request-method" not in headers:
            return None
        return Response(None, status_code=204, headers=self._cors.preflight(origin, headers))


def refuse_host(scope: Scope, host: bytes, number: int) -> None:
    """Refuse the last of a number of ``Host`` headers (RFC 9112, section 3.2).

    HTTP/1.0 needs none. Granian adds an empty one. Raises `InvalidRequest` and `HostRejected`.
    """
    if number > 1:
        raise InvalidRequest("The request has several `Host` headers.")
    if host:
        raise HostRejected(
            "The service does not answer to this `Host`; see OSTIARY_ALLOWED_HOSTS.",
            host=loggable_host(host),
        )
    if scope["http_version"] not in {"1", "1.0"}:
        raise InvalidRequest("The request has no `Host`.")


def without_body(send: Send) -> Send:
    """Return a ``send`` that sends the head of a response only."""

    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return send_head


def listing_head(send: Send) -> Send:
    """Return a ``send`` that adds HEAD to ``Allow`` in the response to OPTIONS."""

    async def send_with_head(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                (name, with_head(value.decode()).encode() if name == b"allow" else value)
                for name, value in message["headers"]
            ]
        await send(message)

    return send_with_head
