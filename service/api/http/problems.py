"""Problems (RFC 9457): the one place where an exception becomes a response."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import structlog
from litestar import Request
from litestar.exceptions import HTTPException, MethodNotAllowedException
from litestar.types import Receive, Scope, Send
from msgspec import UNSET, Meta, Struct, UnsetType

from service.api.http.content_length import content_length
from service.api.http.errors import (
    InvalidRequest,
    MalformedJSON,
    Rejected,
    UnsupportedMediaType,
)
from service.api.http.json_response import JSONResponse
from service.api.http.printable import printable
from service.api.http.problem_types import (
    CLOSE,
    INTERNAL_ERROR,
    MAX_BODY_SIZE,
    PROBLEM_TYPES,
    ProblemType,
)
from service.api.http.response_headers import request_id_of, with_head
from service.api.http.state import state_of
from service.auth.errors import (
    AccountNotProven,
    FieldError,
    InsufficientScope,
    ProviderRefused,
    RateLimited,
    ReauthenticationRequired,
    SecondFactorRequired,
    SignUpNeeded,
    ValidationFailed,
)
from service.metrics import PROBLEMS

MEDIA_TYPE = "application/problem+json"

_BY_EXCEPTION = {each.raised_as: each for each in PROBLEM_TYPES if each.raised_as is not None}
_BY_STATUS = {each.status: each for each in PROBLEM_TYPES if each.covers_status}

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Suggestions(Struct, frozen=True, kw_only=True):
    """What a provider says of its user. None of it is the user's here before they say so."""

    email: Annotated[str | UnsetType, Meta(description="An e-mail address.")] = UNSET
    name: Annotated[str | UnsetType, Meta(description="A name, as people write it.")] = UNSET


class Problem(Struct, frozen=True, kw_only=True):
    """The body of every error response (RFC 9457)."""

    type: Annotated[str, Meta(description="The URN of the problem's type.")]
    title: Annotated[str, Meta(description="The problem's type, for people.")]
    status: Annotated[int, Meta(description="The status of the response.")]
    code: str
    detail: Annotated[str, Meta(description="What went wrong, for people.")]
    request_id: Annotated[
        str, Meta(description="The id of the request, in the log and in `X-Request-ID` as well.")
    ]
    errors: Annotated[
        list[FieldError] | UnsetType,
        Meta(description="What is wrong with each field, with the code `validation_failed`."),
    ] = UNSET
    methods: Annotated[
        list[str] | UnsetType,
        Meta(
            description="By which methods the user can reauthenticate, with the code "
            "`reauthentication_required`, or complete the log-in, with `second_factor_required`."
        ),
    ] = UNSET
    challenge_token: Annotated[
        str | UnsetType,
        Meta(
            description="What `POST /login/second-factor` needs, with the code "
            "`second_factor_required`, or `POST /signup/oidc`, with `sign_up_needed`."
        ),
    ] = UNSET
    passkey_options: Annotated[
        dict[str, Any] | UnsetType,
        Meta(
            description="Options for `navigator.credentials.get`, if `passkey` is one of "
            "`methods`: `second_factor_required` only."
        ),
    ] = UNSET
    expires_at: Annotated[
        datetime | UnsetType,
        Meta(description="When `challenge_token` expires."),
    ] = UNSET
    suggestions: Annotated[
        Suggestions | UnsetType,
        Meta(description="What the provider says of its user: `sign_up_needed` only."),
    ] = UNSET
    error: Annotated[
        str | UnsetType,
        Meta(
            description="The provider's error (RFC 6749, section 4.1.2.1; OpenID Connect Core, "
            "section 3.1.2.6): `provider_refused` only."
        ),
    ] = UNSET


def problem_response(request: Request[Any, Any, Any], error: Exception) -> JSONResponse[Problem]:
    """Return the response of an exception; an unexpected one is logged and answered with 500."""
    kind = problem_type_of(error)
    PROBLEMS.add(kind.code)
    request_id = request_id_of(request.scope)
    if kind is INTERNAL_ERROR:
        log.error(kind.code, request_id=request_id, exc_info=error)
    else:
        record_refusal(request, kind, error)
    return JSONResponse(
        Problem(
            type=kind.urn,
            title=kind.title,
            status=kind.status,
            code=kind.code,
            detail=detail_of(error, kind),
            request_id=request_id,
            **members_of(error),
        ),
        status_code=kind.status,
        media_type=MEDIA_TYPE,
        headers=headers_of(error, kind) | (CLOSE if has_unread_body(request) else {}),
    )


async def send_problem(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the response of an exception, where there is no route of Litestar's to do so."""
    request: Request[Any, Any, Any] = Request(scope, receive, send)
    response = problem_response(request, error)
    await response.to_asgi_response(app=None, request=request)(scope, receive, send)


def members_of(error: Exception) -> dict[str, Any]:
    """Return the members that only the problems of some exceptions have."""
    match error:
        case ValidationFailed():
            return {"errors": error.errors}
        case ReauthenticationRequired():
            return {"methods": [*error.methods]}
        case SecondFactorRequired():
            return {
                "methods": [*error.methods],
                "challenge_token": error.challenge_token,
                "passkey_options": error.passkey_options or UNSET,
                "expires_at": error.expires_at,
            }
        case SignUpNeeded():
            return {
                "challenge_token": error.challenge_token,
                "expires_at": error.expires_at,
                "suggestions": Suggestions(email=error.email or UNSET, name=error.name or UNSET),
            }
        case ProviderRefused():
            return {"error": error.error}
    return {}


def record_refusal(request: Request[Any, Any, Any], kind: ProblemType, error: Exception) -> None:
    """Count a refused request, and log it if its problem type is logged."""
    logged: dict[str, str | None] | None = None
    if kind.is_logged:
        logged = {"request_id": request_id_of(request.scope)}
        if str(error):
            logged["reason"] = printable(" ".join(str(error).split()))
        if isinstance(error, Rejected):
            logged |= error.logged
    state = state_of(request)
    state.refusals.record(kind.code, state.client_addresses.of(request.scope), logged)


def detail_of(error: Exception, kind: ProblemType) -> str:
    """Return what is wrong with this request, where the exception says it."""
    if isinstance(error, AccountNotProven):
        return error.message
    is_specific = isinstance(
        error, InvalidRequest | MalformedJSON | Rejected | UnsupportedMediaType
    )
    return printable(str(error)) if is_specific and str(error) else kind.detail


def problem_type_of(error: Exception) -> ProblemType:
    """Return the problem type of an exception, raised by the service or by Litestar."""
    kind = next(filter(None, map(_BY_EXCEPTION.get, type(error).__mro__)), None)
    if kind is None and isinstance(error, HTTPException):
        kind = _BY_STATUS.get(error.status_code)
    return kind or INTERNAL_ERROR


def has_unread_body(request: Request[Any, Any, Any]) -> bool:
    """Return whether more of the body may be unread than the server would skip.

    No other request can follow on the connection then.
    """
    length = content_length(request.headers.get("content-length", "0"))
    return "transfer-encoding" in request.headers or length > MAX_BODY_SIZE


def headers_of(error: Exception, kind: ProblemType) -> dict[str, str]:
    """Return the headers of the response."""
    if isinstance(error, RateLimited):
        return {"Retry-After": str(error.retry_after)}
    if isinstance(error, ReauthenticationRequired):
        return {"WWW-Authenticate": step_up_challenge(error.max_age)}
    if isinstance(error, InsufficientScope):
        # RFC 6750, section 3.
        challenge = f'Bearer error="insufficient_scope", scope="{error.scope}"'
        return {"WWW-Authenticate": challenge}
    if isinstance(error, MethodNotAllowedException):
        return {"Allow": with_head((error.headers or {}).get("allow", ""))}
    return kind.headers


def step_up_challenge(max_age: int | None) -> str:
    """Return the challenge that asks for a better proof of the user (RFC 9470, section 3)."""
    challenge = 'Bearer error="insufficient_user_authentication"'
    return challenge if max_age is None else f'{challenge}, max_age="{max_age}"'
