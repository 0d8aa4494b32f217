"""Litestar without our workarounds. A test that fails says which of them can go."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from litestar import Controller, Litestar, Request, Response, delete, get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import ResponseHeader
from litestar.enums import HttpMethod
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Example

from service.api.http.litestar_workarounds import (
    FastRoute,
    documented_header,
    options_response,
    remove_example_ids,
)

Message = dict[str, Any]


class Answer(msgspec.Struct):
    text: str = "yes"


def application(*handlers: Any) -> Litestar:
    return Litestar(handlers, openapi_config=None, logging_config=None)


async def receive_nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def call(
    app: Any,
    method: str,
    path: str,
    receive: Callable[[], Awaitable[Message]] = receive_nothing,
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Send a request without a server. Returns the status, the headers and the body."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    await app(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


async def guarded_by(route: type[HTTPRouteHandler]) -> list[BaseRouteHandler]:
    """Return the routes that two guards of one request are called with."""
    seen: list[BaseRouteHandler] = []

    async def first(_: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        seen.append(handler)

    async def second(_: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        seen.append(handler)

    @route("/", http_method=HttpMethod.GET, guards=[first, second])
    async def answer() -> Answer:
        return Answer()

    await call(application(answer), "GET", "/")
    return seen


async def test_litestar_still_copies_a_route_for_each_guard() -> None:
    first, second = await guarded_by(HTTPRouteHandler)
    assert first is not second, "FastRoute.authorize_connection can go"
    first, second = await guarded_by(FastRoute)
    assert first is second


async def python_calls(route: type[HTTPRouteHandler]) -> int:
    """Return the number of calls of Python functions for a request answered with a struct."""

    @route("/", http_method=HttpMethod.GET)
    async def answer() -> Answer:
        return Answer()

    app = application(answer)
    await call(app, "GET", "/")
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        await call(app, "GET", "/")
    finally:
        sys.setprofile(before)
    return calls


async def test_litestar_still_sends_a_struct_by_many_calls() -> None:
    """Calls are counted, not timed: their number is the same each time."""
    ours, litestars = await python_calls(FastRoute), await python_calls(HTTPRouteHandler)
    assert litestars > 1.5 * ours, "FastRoute.to_response and JSONBody can go"


@get("/thing")
async def get_thing() -> None: ...


@delete("/thing")
async def delete_thing() -> None: ...


async def test_litestar_still_lists_the_methods_of_one_handler_only() -> None:
    _, headers, _ = await call(application(get_thing, delete_thing), "OPTIONS", "/thing")
    assert headers[b"allow"] == b"GET, OPTIONS", "options_response can go"


class OptionsLast(Controller):
    path = "/thing"

    @get()
    async def get_thing(self) -> None: ...

    @HTTPRouteHandler(http_method=HttpMethod.OPTIONS, status_code=204)
    async def list_methods(self) -> Response[None]:
        return options_response("DELETE", "GET")


class OptionsFirst(Controller):
    path = "/thing"

    @get()
    async def get_thing(self) -> None: ...

    @HTTPRouteHandler(http_method=HttpMethod.OPTIONS, status_code=204)
    async def a_list_of_methods(self) -> Response[None]:
        return options_response("DELETE", "GET")


async def test_litestar_still_ignores_a_handler_of_options_that_is_not_the_first() -> None:
    _, headers, _ = await call(application(OptionsLast), "OPTIONS", "/thing")
    assert headers[b"allow"] == b"GET, OPTIONS", "their names need not begin with a_"
    _, headers, _ = await call(application(OptionsFirst), "OPTIONS", "/thing")
    assert headers[b"allow"] == b"DELETE, GET, OPTIONS"


async def test_litestar_still_takes_a_client_that_disconnects_for_a_defect_of_the_server() -> None:
    @post("/")
    async def read(request: Request[Any, Any, Any]) -> None:
        await request.body()

    async def disconnect() -> Message:
        return {"type": "http.disconnect"}

    status, _, _ = await call(application(read), "POST", "/", disconnect)
    assert status == 500, "receive_body can go"


def described(header: ResponseHeader) -> dict[str, Any]:
    """Return the OpenAPI document of a response with this header and of one with an example."""
    example = Example(id="by_name", value={"text": "no"})

    @get("/", response_headers=[header], responses={400: ResponseSpec(Answer, examples=[example])})
    async def answer() -> Answer:
        return Answer()

    return Litestar([answer]).openapi_schema.to_schema()


def header_of(document: dict[str, Any]) -> dict[str, Any]:
    header: dict[str, Any] = document["paths"]["/"]["get"]["responses"]["200"]["headers"]["X-A"]
    return header


def test_litestar_still_describes_a_header_without_a_value_without_a_schema() -> None:
    without_value = ResponseHeader(name="X-A", description="A", documentation_only=True)
    assert "schema" not in header_of(described(without_value)), "documented_header can go"
    assert header_of(described(documented_header("X-A", "A")))["schema"] == {"type": "string"}


def examples_of(document: dict[str, Any]) -> dict[str, Any]:
    response = document["paths"]["/"]["get"]["responses"]["400"]
    examples: dict[str, Any] = response["content"]["application/json"]["examples"]
    return examples


def test_litestar_still_leaves_the_ids_of_examples_in_them() -> None:
    document = described(documented_header("X-A", "A"))
    assert examples_of(document)["by_name"]["id"] == "by_name", "remove_example_ids can go"
    remove_example_ids(document)
    assert examples_of(document) == {"by_name": {"value": {"text": "no"}}}


async def test_litestar_still_writes_a_script_into_its_page() -> None:
    @get("/")
    async def answer() -> Answer:
        return Answer()

    config = OpenAPIConfig("Ostiary", "1", render_plugins=[SwaggerRenderPlugin()])
    app = Litestar([answer], openapi_config=config, logging_config=None)
    _, _, page = await call(app, "GET", "/schema/swagger")
    assert b"SwaggerUIBundle({" in page, "Litestar's page may do for /docs"
