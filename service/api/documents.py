"""The OpenAPI document, and a page to read and try it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from litestar import Controller, Litestar, MediaType, Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, License, Schema, SecurityScheme, Tag
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import FromPath
from litestar.plugins import OpenAPISchemaPlugin
from litestar.response import File
from litestar.typing import FieldDefinition
from swagger_ui_bundle import swagger_ui_path

import service
from service.api import routes
from service.api.response_headers import allow_content
from service.auth import passwords, usernames

DESCRIPTION = """\
Sign people up, log them in, tell who they are, log them out.

A session is held by a token. With the transport `cookie` it travels in the cookie `auth_session`
(in production `__Host-auth_session`), with `bearer` in the header `Authorization: Bearer …`.
Every error is a problem (RFC 9457): `code` is for programs, `detail` for people.
"""

FIELD_SCHEMAS: dict[type, Schema] = {
    usernames.Username: Schema(
        type=OpenAPIType.STRING,
        min_length=usernames.MIN_LENGTH,
        max_length=usernames.MAX_LENGTH,
        description="Letters and digits of any script (RFC 8265, UsernameCaseMapped). `Alice`, "
        "`alice` and `ＡＬＩＣＥ` are one name; it is shown as it is given here.",
        examples=["Alice"],
    ),
    usernames.ClaimedUsername: Schema(
        type=OpenAPIType.STRING,
        min_length=1,
        max_length=usernames.MAX_UNPREPARED_LENGTH,
        examples=["Alice"],
    ),
    passwords.NewPassword: Schema(
        type=OpenAPIType.STRING,
        min_length=passwords.MIN_LENGTH,
        max_length=passwords.MAX_LENGTH,
        description="Any characters but control characters (RFC 8265, OpaqueString). Common "
        "passwords, and those that hold the user name, are refused.",
        examples=["correct horse battery staple"],
    ),
    passwords.Password: Schema(
        type=OpenAPIType.STRING,
        min_length=1,
        max_length=passwords.MAX_CLAIMED_LENGTH,
        examples=["correct horse battery staple"],
    ),
}


class FieldSchemas(OpenAPISchemaPlugin):
    """Tells Litestar how the types of our fields look in JSON."""

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        return field_definition.annotation in FIELD_SCHEMAS

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        return FIELD_SCHEMAS[field_definition.annotation]


@cache
def openapi_document() -> dict[str, Any]:
    """Describe the endpoints as OpenAPI 3.1. The settings change nothing in it."""
    described = Litestar(
        routes.CONTROLLERS,
        dependencies=routes.dependencies(),
        plugins=[FieldSchemas()],
        openapi_config=OpenAPIConfig(
            title="Ostiary",
            version=service.__version__,
            description=DESCRIPTION,
            license=License(name="MIT", identifier="MIT"),
            tags=[
                Tag(name="Account", description="Joining, coming back, leaving."),
                Tag(name="Sessions", description="The devices on which a user is logged in."),
                Tag(name="Health", description="For the machines that watch over this one."),
            ],
            components=Components(
                security_schemes={
                    "cookie": SecurityScheme(
                        type="apiKey", security_scheme_in="cookie", name="auth_session"
                    ),
                    "bearer": SecurityScheme(type="http", scheme="bearer"),
                }
            ),
            use_handler_docstrings=True,
            render_plugins=[JsonRenderPlugin()],
        ),
    )
    document = described.openapi_schema.to_schema()
    _take_ids_off_examples(document)
    return document


def _take_ids_off_examples(document: dict[str, Any]) -> None:
    """Litestar names examples by an ``id``, and leaves it in them, where OpenAPI has none."""
    for operations in document["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                for content in response.get("content", {}).values():
                    for example in content.get("examples", {}).values():
                        example.pop("id", None)


def openapi_text() -> str:
    """The document as it is committed."""
    return json.dumps(openapi_document(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Ostiary</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/page.js"></script>
</body>
</html>
"""

PAGE_SCRIPT = """\
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#page",
  deepLinking: true,
  validatorUrl: null,
  withCredentials: true,
});
"""

# Nothing comes from another host. Swagger UI sets styles from scripts, and draws with data URLs.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

# The files of Swagger UI that the page asks for, and what they are.
PAGE_FILES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}


class DocumentController(Controller):
    """The document, and a page to read and try it."""

    path = "/"
    include_in_schema = False

    @get("/openapi.json")
    async def get_document(self) -> dict[str, Any]:
        return openapi_document()

    @get("/docs", media_type=MediaType.HTML)
    async def get_page(self, request: Request[Any, Any, Any]) -> Response[str]:
        allow_content(request.scope, PAGE_POLICY)
        return Response(PAGE, headers={"Cross-Origin-Opener-Policy": "same-origin"})

    @get("/docs/page.js", media_type="text/javascript")
    async def get_page_script(self) -> str:
        return PAGE_SCRIPT

    @get("/docs/{name:str}")
    async def get_page_file(self, name: FromPath[str]) -> File:
        if name not in PAGE_FILES:
            raise NotFoundException
        return File(
            swagger_ui_path / name, media_type=PAGE_FILES[name], content_disposition_type="inline"
        )
