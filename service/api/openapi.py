"""The OpenAPI document, made from the routes."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from litestar import Litestar
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, License, Schema, SecurityScheme, Tag
from litestar.openapi.spec.enums import OpenAPIType
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

import service
from service.api.http.litestar_workarounds import remove_example_ids
from service.api.http.request_context import DEPENDENCIES
from service.api.routes import CONTROLLERS
from service.auth import device_names, passwords, usernames

DESCRIPTION = """\
Authentication for web and mobile applications: sign-up, log-in, sessions, log-out.

The client holds the token of its session. With the transport `cookie` it travels in the cookie
`auth_session` (in production `__Host-auth_session`), with `bearer` in the header
`Authorization: Bearer …`.
Every error is a problem (RFC 9457): `code` is meant for programs, `detail` for people.
"""

FIELD_SCHEMAS: dict[type, Schema] = {
    usernames.Username: Schema(
        type=OpenAPIType.STRING,
        min_length=usernames.MIN_LENGTH,
        max_length=usernames.MAX_LENGTH,
        description="Letters, digits and some punctuation (RFC 8265, UsernameCaseMapped), without "
        "`@`, of one script or of scripts that are usually mixed (UTS 39, highly restrictive). "
        "Some names are reserved. `Alice`, `alice` and `ＡＬＩＣＥ` are the same name; it is "
        "displayed as given here.",
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
        description="Any characters, emoji too, but no control characters. It is compared as "
        "RFC 8265 (OpaqueString) says. Passwords that are common, or little more than common "
        "words, sequences and repetitions, and those that contain the user name, are refused.",
        examples=["correct horse battery staple"],
    ),
    passwords.Password: Schema(
        type=OpenAPIType.STRING,
        min_length=1,
        max_length=passwords.MAX_CLAIMED_LENGTH,
        examples=["correct horse battery staple"],
    ),
    device_names.DeviceName: Schema(
        type=OpenAPIType.STRING,
        max_length=device_names.MAX_LENGTH,
        description="What the list of sessions calls this device. Surrounding space is removed, "
        "control characters are refused; a blank name is none.",
        examples=["Jane's phone"],
    ),
}


class FieldSchemas(OpenAPISchemaPlugin):
    """The JSON schemas of custom field types, for Litestar."""

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        """Return whether this plugin has the schema of a field's type."""
        return field_definition.annotation in FIELD_SCHEMAS

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        """Return the schema of a field's type."""
        return FIELD_SCHEMAS[field_definition.annotation]


@cache
def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document. It does not depend on the settings."""
    described = Litestar(
        CONTROLLERS,
        dependencies=DEPENDENCIES,
        # Litestar would configure the logging of this process.
        logging_config=None,
        plugins=[FieldSchemas()],
        openapi_config=OpenAPIConfig(
            title="Ostiary",
            version=service.__version__,
            description=DESCRIPTION,
            license=License(name="MIT", identifier="MIT"),
            tags=[
                Tag(name="Account", description="Sign-up, log-in, log-out, the current user."),
                Tag(name="Sessions", description="The sessions of a user, one for each device."),
                Tag(name="Health", description="Checks for load balancers and monitoring."),
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
    remove_example_ids(document)
    return document


def openapi_text() -> str:
    """Return the document as it is committed, in `openapi/openapi.json`."""
    return json.dumps(openapi_document(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
