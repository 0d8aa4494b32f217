"""Token introspection (RFC 7662): another program asks whose session a token opens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl
from uuid import UUID

from litestar import Controller
from litestar.enums import HttpMethod
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from msgspec import UNSET, Meta, Struct, UnsetType

from service.api.http.json_body import (
    JSON,
    parse_json_object,
    receive_in_time,
    require_media_type,
)
from service.api.http.litestar_workarounds import FastRoute
from service.api.http.problem_types import (
    MALFORMED_JSON,
    PAYLOAD_TOO_LARGE,
    REQUEST_TIMEOUT,
    UNSUPPORTED_MEDIA_TYPE,
    VALIDATION_FAILED,
)
from service.api.http.responses import PROGRAM_PROBLEMS, PROGRAM_SECURITY, problem_responses
from service.api.http.state import state_of
from service.api.security.service_token import ProgramRequest, require_scope
from service.auth.errors import FieldCode, InvalidField, ValidationFailed
from service.auth.programs.amr import amr_of
from service.auth.tokens import Token
from service.model.service_tokens import Scope
from service.model.sessions import FoundSession

FORM = "application/x-www-form-urlencoded"

# Programs pass on whatever they were sent as a token, and its length is no reason to fail.
MAX_BODY_SIZE = 2 * 1024 * 1024
MAX_PARAMETERS = 100


class Introspection(Struct, frozen=True, kw_only=True):
    """Whether a token opens a live session and, if it does, whose."""

    active: Annotated[
        bool,
        Meta(description="Whether the token opens a live session. If not, nothing else is said."),
    ]
    sub: Annotated[UUID | UnsetType, Meta(description="The user's id.")] = UNSET
    username: Annotated[
        str | UnsetType, Meta(description="The user name, if the user has one. It can change.")
    ] = UNSET
    sid: Annotated[UUID | UnsetType, Meta(description="The session's id.")] = UNSET
    iat: Annotated[
        int | UnsetType, Meta(description="When the user logged in, in seconds since 1970.")
    ] = UNSET
    exp: Annotated[
        int | UnsetType,
        Meta(
            description="When the session ends, unless a request of the user renews it before, in "
            "seconds since 1970. Introspection does not renew it."
        ),
    ] = UNSET
    amr: Annotated[
        list[str] | UnsetType,
        Meta(
            description="How the user was proven (RFC 8176): `pwd`, `otp`, `pop` for a passkey, "
            "`email`; `mfa` as well for a passkey, or a password and `otp`."
        ),
    ] = UNSET
    auth_time: Annotated[
        int | UnsetType,
        Meta(description="When the user was last proven, in seconds since 1970."),
    ] = UNSET
    roles: Annotated[list[str] | UnsetType, Meta(description="The user's roles.")] = UNSET


INACTIVE = Introspection(active=False)

_PARAMETERS = Schema(
    title="IntrospectRequest",
    type=OpenAPIType.OBJECT,
    required=["token"],
    properties={
        "token": Schema(type=OpenAPIType.STRING, description="The token of a session."),
        "token_type_hint": Schema(
            type=OpenAPIType.STRING, description="Ignored, as is every other parameter."
        ),
    },
)


@dataclass
class IntrospectOperation(Operation):
    """The operation, with its body: Litestar describes one that the handler takes as ``data``."""

    def __post_init__(self) -> None:
        """Describe the body."""
        content = {each: OpenAPIMediaType(schema=_PARAMETERS) for each in (FORM, JSON)}
        self.request_body = RequestBody(content=content, required=True)


class IntrospectionController(Controller):
    """Introspect a token."""

    path = "/"
    tags = ("Programs",)

    @FastRoute(
        "/introspect",
        http_method=HttpMethod.POST,
        status_code=200,
        guards=[require_scope(Scope.INTROSPECT)],
        request_max_body_size=MAX_BODY_SIZE,
        security=PROGRAM_SECURITY,
        operation_class=IntrospectOperation,
        operation_id="introspectToken",
        summary="Introspect the token of a session",
        response_description="Whether the token opens a live session, and whose.",
        responses=problem_responses(
            *PROGRAM_PROBLEMS,
            MALFORMED_JSON,
            VALIDATION_FAILED,
            REQUEST_TIMEOUT,
            PAYLOAD_TOO_LARGE,
            UNSUPPORTED_MEDIA_TYPE,
        ),
    )
    async def introspect(self, request: ProgramRequest) -> Introspection:
        """Return whose session a token opens, for a program that was sent it (RFC 7662).

        Needs the scope `introspect`. The session is not renewed: that is left to requests of the
        user.
        """
        token = Token.parse(await token_in_body(request))
        if token is None:
            return INACTIVE
        found = await state_of(request).services.sessions.find(token)
        return INACTIVE if found is None else introspection_of(found)


async def token_in_body(request: ProgramRequest) -> str:
    """Return the parameter ``token`` of the body, a form or JSON.

    Raises `ValidationFailed` unless there is one, and what reading a body raises.
    """
    media_type = require_media_type(request, FORM, JSON)
    body = await receive_in_time(request)
    try:
        return token_in_form(body) if media_type == FORM else token_in_json(body)
    except InvalidField as error:
        raise ValidationFailed([error.of("token")]) from error


def token_in_form(body: bytes) -> str:
    """Return the token in a form. Raises `InvalidField`."""
    try:
        parameters = parse_qsl(
            body.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS
        )
    except ValueError as error:
        message = f"There must be at most {MAX_PARAMETERS} parameters."
        raise InvalidField(FieldCode.NOT_ALLOWED, message) from error
    tokens = [value for name, value in parameters if name == "token"]
    if not tokens:
        raise InvalidField(FieldCode.REQUIRED, "Token is required.")
    if len(tokens) > 1:
        raise InvalidField(FieldCode.NOT_ALLOWED, "There must be one token.")
    return tokens[0]


def token_in_json(body: bytes) -> str:
    """Return the token in a JSON object. Raises `InvalidField` and `MalformedJSON`."""
    parameters = parse_json_object(body)
    if "token" not in parameters:
        raise InvalidField(FieldCode.REQUIRED, "Token is required.")
    token = parameters["token"]
    if not isinstance(token, str):
        raise InvalidField(FieldCode.WRONG_TYPE, "Token must be a string.")
    return token


def introspection_of(found: FoundSession) -> Introspection:
    """Return what is said of a live session."""
    session, user = found.session, found.user
    return Introspection(
        active=True,
        sub=user.id,
        username=user.username or UNSET,
        sid=session.id,
        iat=int(session.created_at.timestamp()),
        exp=int(session.idle_expires_at.timestamp()),
        amr=amr_of(session.methods),
        auth_time=int(session.authenticated_at.timestamp()),
        roles=user.roles,
    )
