"""Metrics of requests, and the access log.

Both are off by default: they cost each request some microseconds.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from service.api.http.response_headers import request_id_of
from service.metrics import REQUEST_SECONDS, REQUESTS
from service.model.service_tokens import ServiceToken

LOGGER = "access"

# Those of RFC 9110, section 9.3, and PATCH (RFC 5789).
METHODS = {
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
}

log: structlog.stdlib.BoundLogger = structlog.get_logger(LOGGER)


class Instrumentation:
    """An ASGI application that counts the requests of another one, and logs them if wanted."""

    def __init__(self, app: ASGIApp, *, logs_requests: bool) -> None:
        self._app = app
        self._logs_requests = logs_requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer a request."""
        started = monotonic()
        # Read before: `Entrance` changes HEAD to GET in the scope.
        method: str = scope["method"]  # type: ignore[typeddict-item]
        status: int | None = None

        async def send_and_remember(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_remember)
        except Exception:
            # The server answers with 500.
            status = status or 500
            raise
        finally:
            self._record(scope, method, status, monotonic() - started)

    def _record(self, scope: Scope, method: str, status: int | None, seconds: float) -> None:
        method = method if method in METHODS else "other"
        route = scope.get("path_template") or "none"
        REQUESTS.add(method, route, "none" if status is None else str(status))
        REQUEST_SECONDS.observe(seconds, method, route)
        if self._logs_requests:
            log.info(
                "request",
                method=method,
                route=route,
                status=status,
                duration=round(seconds, 6),
                user_id=_user_id_of(scope),
                service_token_id=_service_token_id_of(scope),
                request_id=request_id_of(scope),
            )


def _user_id_of(scope: Scope) -> str | None:
    """Return the user whose session the request was made with, if the route needs one."""
    authentication: Any = scope.get("auth")
    if authentication is None or isinstance(authentication, ServiceToken):
        return None
    return str(authentication.live.user.id)


def _service_token_id_of(scope: Scope) -> str | None:
    """Return the service token that the request was made with, if the route needs one."""
    token: Any = scope.get("auth")
    return str(token.id) if isinstance(token, ServiceToken) else None
