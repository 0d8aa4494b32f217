"""Workarounds for Litestar, all of them needed with 2.25.0.

For each `tests/api/test_litestar_workarounds.py` has a test that fails when Litestar no longer
needs it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Litestar, Request, Response
from litestar.connection import ASGIConnection
from litestar.datastructures import ResponseHeader
from litestar.exceptions import InternalServerException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from service.api.http.errors import InvalidRequest
from service.api.http.json_response import encode_json


class FastRoute(HTTPRouteHandler):
    """A route whose handler returns a struct, with status 200 and no other features.

    Doing without the features saves a third of the time of `GET /me`; see `benchmarks/README.md`.
    """

    async def authorize_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        """Call the guards with this route.

        Litestar 2 copies the route for each guard of each request. Remove this method with
        Litestar 3 (litestar-org/litestar#3900).
        """
        for guard in self.resolve_guards():
            await guard(connection, self)  # type: ignore[misc]

    async def to_response(
        self, app: Litestar, data: Any, request: Request[Any, Any, Any]
    ) -> ASGIApp:
        """Return the response of the struct that the handler returned.

        Litestar makes it with two classes for cookies, background tasks and encoders. No upstream
        issue is known; remove this method and `JSONBody` when that costs as little.
        """
        return JSONBody(data)


class JSONBody:
    """A response with status 200 whose body is a struct in JSON."""

    __slots__ = ("_body",)

    def __init__(self, struct: msgspec.Struct) -> None:
        self._body = encode_json(struct)

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

    Litestar 2 lists the methods of only one of the handlers (litestar-org/litestar#4169), the first
    one by name. It also ignores a handler of OPTIONS that is not the first: those that call this
    have names that begin with ``a_``. Remove them with Litestar 3 (litestar-org/litestar#3386).
    """
    return Response(None, status_code=204, headers={"Allow": ", ".join([*methods, "OPTIONS"])})


async def receive_body(request: Request[Any, Any, Any]) -> bytes:
    """Return the body of a request. Raises `InvalidRequest`.

    Litestar takes a client that disconnects, and invalid chunked encoding, for a defect of the
    server (`InternalServerException`). No upstream issue is known; 3.0.0b0 does so too.
    """
    try:
        return await request.body()
    except InternalServerException as error:
        raise InvalidRequest("The body ended early, or its chunked encoding is invalid.") from error


def documented_header(name: str, description: str) -> ResponseHeader:
    """Return a response header for the OpenAPI document, which the handler sets itself.

    Litestar takes the schema of a header from its value. Without a value it describes a header
    without a schema, which OpenAPI does not allow. No upstream issue is known.
    """
    return ResponseHeader(name=name, value="", description=description, documentation_only=True)


def remove_example_ids(document: dict[str, Any]) -> None:
    """Remove the member ``id`` of examples from an OpenAPI document.

    Litestar names examples by it (litestar-org/litestar#4133) and leaves it in them, where OpenAPI
    does not allow it. No upstream issue is known; 3.0.0b0 does so too.
    """
    for operations in document["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                for content in response.get("content", {}).values():
                    for example in content.get("examples", {}).values():
                        example.pop("id", None)
