"""The OpenAPI document, made from the routes."""

from __future__ import annotations

import json
from typing import Any

from litestar import Litestar
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, License, Reference, SecurityScheme, Tag

import service
from service.api.http.litestar_workarounds import remove_example_ids
from service.api.http.request_context import DEPENDENCIES
from service.api.http.session_cookie import SessionCookie
from service.api.openapi_adjustments import adjust
from service.api.openapi_examples import examples
from service.api.openapi_fields import FieldSchemas, field_schemas
from service.api.routes import DESCRIBED, operation_ids
from service.settings import Settings

DESCRIPTION = """\
Authentication for web and mobile applications: sign-up, log-in, sessions, reset of a password.

The client holds the token of its session. With the transport `cookie` it travels in the cookie
`{cookie}`, with `bearer` in the header `Authorization: Bearer …`.
Some requests need step-up: the user must have authenticated recently, or gets 401
`reauthentication_required`.
A code or a link that is mailed answers a challenge, which expires and is answered once. A code is
sent back with the `challenge_token` of the response to the request that mailed it.
Every error is a problem (RFC 9457): `code` is meant for programs, `detail` for people.
Responses may get further members in later versions.
"""


def openapi_document(settings: Settings) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a service with these settings."""
    cookie = SessionCookie(settings.cookies, secure=settings.is_production).name
    described = Litestar(
        DESCRIBED,
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
                Tag(
                    name="Account",
                    description="Sign-up, log-in, log-out, the user and their account.",
                ),
                Tag(
                    name="Factors",
                    description="What proves a user beside the password: authenticator app, "
                    "passkeys, recovery codes.",
                ),
                Tag(
                    name="Identities",
                    description="Accounts at OpenID providers (Google, Apple, GitHub, …) with "
                    "which users sign up and log in.",
                ),
                Tag(
                    name="Access tokens",
                    description="JWTs by which other programs know a user without asking.",
                ),
                Tag(name="Sessions", description="The sessions of a user, one for each device."),
                Tag(
                    name="Programs",
                    description="For reverse proxies, and for other programs, which hold service "
                    "tokens. No page of a browser can read the responses (no CORS).",
                ),
                Tag(name="Health", description="Checks for load balancers and monitoring."),
            ],
            components=Components(security_schemes=security_schemes(cookie)),
            use_handler_docstrings=True,
            render_plugins=[JsonRenderPlugin()],
        ),
    )
    document = described.openapi_schema.to_schema()
    remove_example_ids(document)
    adjust(document, examples(), operation_ids())
    # Defaults are instances of the fields' types: plain JSON is left.
    plain: dict[str, Any] = json.loads(json.dumps(document))
    return plain


def security_schemes(cookie: str) -> dict[str, SecurityScheme | Reference]:
    """Return the ways to send a token. ``cookie`` is the name of the session cookie."""
    return {
        "bearer": SecurityScheme(
            type="http",
            scheme="bearer",
            description="For apps and scripts. The token is `session.token` of the response to "
            "sign-up or log-in with the transport `bearer`. If a request carries a cookie as well, "
            "the bearer token counts.",
        ),
        "cookie": SecurityScheme(
            type="apiKey",
            security_scheme_in="cookie",
            name=cookie,
            description="For browsers. Sign-up and log-in set the cookie, unless the transport is "
            "`bearer`; log-out clears it. It is `HttpOnly`: the browser sends it by itself and no "
            "script can read it, so there is nothing to enter on the page `/docs`.",
        ),
        "serviceToken": SecurityScheme(
            type="http",
            scheme="bearer",
            description="For other programs. `ostiary service-token create` makes the token, which "
            "begins with `ost_` and permits what its scopes say.",
        ),
        "serviceTokenBasic": SecurityScheme(
            type="http",
            scheme="basic",
            description="For programs that know no other way: the service token as the password, "
            "with any user.",
        ),
    }


def openapi_text() -> str:
    """Return the document of the default settings, which is committed: `openapi/openapi.json`."""
    document = openapi_document(Settings())
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
