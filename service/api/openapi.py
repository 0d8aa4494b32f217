"""The OpenAPI document, made from the routes."""

from __future__ import annotations

import json
from typing import Any

from litestar import Litestar
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, License, Reference, Schema, SecurityScheme, Tag
from litestar.openapi.spec.enums import OpenAPIType
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

import service
from service.api.http.litestar_workarounds import remove_example_ids
from service.api.http.request_context import DEPENDENCIES
from service.api.http.session_cookie import SessionCookie
from service.api.openapi_adjustments import adjust
from service.api.openapi_examples import success_examples
from service.api.routes import CONTROLLERS
from service.auth import device_names, identifiers, passwords, usernames
from service.settings import Settings
from service.settings.passwords import PasswordSettings

DESCRIPTION = """\
Authentication for web and mobile applications: sign-up, log-in, sessions, log-out.

The client holds the token of its session. With the transport `cookie` it travels in the cookie
`{cookie}`, with `bearer` in the header `Authorization: Bearer …`.
Every error is a problem (RFC 9457): `code` is meant for programs, `detail` for people.
Responses may get further members in later versions.
"""


def field_schemas(settings: PasswordSettings) -> dict[type, Schema]:
    """Return the JSON schemas of fields with a type of their own."""
    return {
        usernames.Username: Schema(
            type=OpenAPIType.STRING,
            min_length=1,
            max_length=usernames.MAX_UNPREPARED_LENGTH,
            description=f"{usernames.MIN_LENGTH} to {usernames.MAX_LENGTH} letters, digits and "
            "some punctuation, counted after preparation (RFC 8265, UsernameCaseMapped), without "
            "`@`, of one script or of scripts that are usually mixed (UTS 39, highly restrictive). "
            "Some names are reserved. `Alice`, `alice` and `ＡＬＩＣＥ` are the same name; it is "
            "displayed as given here.",
            examples=["Alice"],
        ),
        identifiers.Identifier: Schema(
            type=OpenAPIType.STRING,
            min_length=1,
            max_length=usernames.MAX_UNPREPARED_LENGTH,
            description="The user name or the e-mail address, in any spelling that is the same.",
            examples=["Alice"],
        ),
        passwords.NewPassword: Schema(
            type=OpenAPIType.STRING,
            min_length=settings.min_length,
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
            description="The password of the user.",
            examples=["an older passphrase of mine"],
        ),
        device_names.DeviceName: Schema(
            type=OpenAPIType.STRING,
            max_length=device_names.MAX_LENGTH,
            description="What the list of sessions calls this device. Surrounding space is "
            "removed, control characters are refused; a blank name is none.",
            examples=["Jane's phone"],
        ),
    }


class FieldSchemas(OpenAPISchemaPlugin):
    """The JSON schemas of custom field types, for Litestar."""

    def __init__(self, schemas: dict[type, Schema]) -> None:
        self._schemas = schemas

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        """Return whether this plugin has the schema of a field's type."""
        return field_definition.annotation in self._schemas

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        """Return the schema of a field's type."""
        return self._schemas[field_definition.annotation]


def openapi_document(settings: Settings) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a service with these settings."""
    cookie = SessionCookie(settings.cookies, secure=settings.is_production).name
    described = Litestar(
        CONTROLLERS,
        dependencies=DEPENDENCIES,
        # Litestar would configure the logging of this process.
        logging_config=None,
        plugins=[FieldSchemas(field_schemas(settings.passwords))],
        openapi_config=OpenAPIConfig(
            title="Ostiary",
            version=service.__version__,
            description=DESCRIPTION.format(cookie=cookie),
            license=License(name="MIT", identifier="MIT"),
            tags=[
                Tag(name="Account", description="Sign-up, log-in, log-out, the current user."),
                Tag(name="Sessions", description="The sessions of a user, one for each device."),
                Tag(name="Health", description="Checks for load balancers and monitoring."),
            ],
            components=Components(security_schemes=security_schemes(cookie)),
            use_handler_docstrings=True,
            render_plugins=[JsonRenderPlugin()],
        ),
    )
    document = described.openapi_schema.to_schema()
    remove_example_ids(document)
    adjust(document, success_examples())
    # Defaults are instances of the fields' types: plain JSON is left.
    plain: dict[str, Any] = json.loads(json.dumps(document))
    return plain


def security_schemes(cookie: str) -> dict[str, SecurityScheme | Reference]:
    """Return the two ways to send a token. ``cookie`` is the name of the session cookie."""
    return {
        "cookie": SecurityScheme(
            type="apiKey",
            security_scheme_in="cookie",
            name=cookie,
            description="Set by sign-up and log-in with the transport `cookie`. `HttpOnly`: "
            "browsers send it, scripts cannot read it.",
        ),
        "bearer": SecurityScheme(
            type="http",
            scheme="bearer",
            description="The `token` of the response to sign-up or log-in with the transport "
            "`bearer`.",
        ),
    }


def openapi_text() -> str:
    """Return the document of the default settings, which is committed: `openapi/openapi.json`."""
    document = openapi_document(Settings())
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
