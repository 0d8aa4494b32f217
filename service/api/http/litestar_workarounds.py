"""Workarounds for Litestar 2.25. `tests/api/test_litestar_workarounds.py` fails when one can go."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Litestar, Request, Response
from litestar.connection import ASGIConnection
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send


class FastRoute(HTTPRouteHandler):
    """A route whose handler returns a struct, with status 200 and no other features.

    Litestar 2 copies the route for each guard of each request (gone in Litestar 3: drop
    `authorize_connection` then), and sends a response through classes for cookies, background tasks
    and encoders. Doing without both saves a third of the time of `GET /me`; see
    `benchmarks/README.md`.
    """

    async def authorize_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        """Call the guards with this route, not with a copy for each."""
        for guard in self.resolve_guards():
            await guard(connection, self)  # type: ignore[misc]

    async def to_response(
        self, app: Litestar, data: Any, request: Request[Any, Any, Any]
    ) -> ASGIApp:
        """Return the response of the struct that the handler returned."""
        return JSONBody(data)


class JSONBody:
    """A response with status 200 whose body is a struct in JSON."""

    __slots__ = ("_body",)

    def __init__(self, struct: msgspec.Struct) -> None:
        self._body = msgspec.json.encode(struct)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(self._body)),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


def options_response(*methods: str) -> Response[None]:
    """Return the response to OPTIONS of a path with several handlers.

    Litestar lists the methods of only one of the handlers. Handlers that call this have names that
    begin with ``a_``, since Litestar calls the handler whose name sorts first.
    """
    return Response(None, status_code=204, headers={"Allow": ", ".join([*methods, "OPTIONS"])})


def remove_example_ids(document: dict[str, Any]) -> None:
    """Remove the member ``id`` of examples from an OpenAPI document.

    Litestar names examples by it and leaves it in them, where OpenAPI does not allow it.
    """
    for operations in document["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                for content in response.get("content", {}).values():
                    for example in content.get("examples", {}).values():
                        example.pop("id", None)
