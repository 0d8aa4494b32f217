"""The deadline of a request begins when the request arrives."""

from __future__ import annotations

from collections.abc import Callable

from litestar.types import ASGIApp, Receive, Scope, Send

from service.model.deadline import start_deadline


def deadline_middleware(seconds: float) -> Callable[[ASGIApp], ASGIApp]:
    """Return Litestar's middleware that gives each request so many seconds."""

    def with_deadline(app: ASGIApp) -> ASGIApp:
        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            start_deadline(seconds)
            await app(scope, receive, send)

        return handle

    return with_deadline
