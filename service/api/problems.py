"""Errors as HTTP speaks of them (RFC 9457). The one place where an exception becomes an answer."""

from __future__ import annotations

from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException
from msgspec import UNSET, Struct, UnsetType

from service.api.origin_rule import OriginRejected
from service.api.response_headers import request_id_of
from service.auth import errors as auth
from service.auth.errors import DatabaseUnavailable, FieldError

MEDIA_TYPE = "application/problem+json"
URN = "urn:ostiary:problem:"

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class MalformedJSON(Exception):
    """The body is not JSON, or not the JSON that we accept."""


class UnsupportedMediaType(Exception):
    """The body does not call itself ``application/json``."""


class BodyTooSlow(Exception):
    """The body did not come in time."""


class BodyCutShort(Exception):
    """The client went away before the end of the body, or sent chunks that are none."""


class ProblemType(Struct, frozen=True, kw_only=True):
    """One kind of error. ``when`` is for the documents, ``detail`` for who meets it."""

    code: str
    raised_as: type[Exception] | None = None
    status: int
    title: str
    detail: str
    when: str
    headers: dict[str, str] = {}

    @property
    def urn(self) -> str:
        return URN + self.code.replace("_", "-")


class Problem(Struct, frozen=True, kw_only=True):
    """The body of every error."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[FieldError] | UnsetType = UNSET


CHALLENGE = {"WWW-Authenticate": "Bearer"}
SOON = {"Retry-After": "1"}
CLOSE = {"Connection": "close"}

LARGEST_BODY = 16 * 1024

MALFORMED_JSON = ProblemType(
    code="malformed_json",
    raised_as=MalformedJSON,
    status=400,
    title="Malformed JSON",
    detail="The body is not a JSON document.",
    when="the body is not JSON, or nests too deep, repeats a name or holds broken Unicode",
)
VALIDATION_FAILED = ProblemType(
    code=auth.ValidationFailed.code,
    raised_as=auth.ValidationFailed,
    status=400,
    title="Validation failed",
    detail="Some fields are wrong; `errors` lists all of them.",
    when="fields are wrong: all of them are listed in `errors`",
)
BAD_REQUEST = ProblemType(
    code="bad_request",
    raised_as=BodyCutShort,
    status=400,
    title="Bad request",
    detail="The request is not one that HTTP allows.",
    when="the request breaks HTTP itself, such as by its `Host` or its chunks",
)
INVALID_CREDENTIALS = ProblemType(
    code=auth.InvalidCredentials.code,
    raised_as=auth.InvalidCredentials,
    status=401,
    title="Invalid credentials",
    detail="Incorrect username or password",
    when="the user name or the password is wrong; which of them is not told, not even by the time",
    headers=CHALLENGE,
)
NOT_AUTHENTICATED = ProblemType(
    code=auth.NotAuthenticated.code,
    raised_as=auth.NotAuthenticated,
    status=401,
    title="Not authenticated",
    detail="Log in first.",
    when="no live session; a cookie that was sent is cleared",
    headers=CHALLENGE,
)
ORIGIN_REJECTED = ProblemType(
    code="origin_rejected",
    raised_as=OriginRejected,
    status=403,
    title="Origin rejected",
    detail="A page of this origin may not do that.",
    when="a browser on an origin that is neither ours nor listed wants to change something",
)
NOT_FOUND = ProblemType(
    raised_as=auth.NoSuchSession,
    code="not_found",
    status=404,
    title="Not found",
    detail="There is nothing here.",
    when="no such path, or nothing of yours",
)
METHOD_NOT_ALLOWED = ProblemType(
    code="method_not_allowed",
    status=405,
    title="Method not allowed",
    detail="This method is not allowed here; `Allow` lists those that are.",
    when="the path is right, the method is not; see `Allow`",
)
REQUEST_TIMEOUT = ProblemType(
    code="request_timeout",
    raised_as=BodyTooSlow,
    status=408,
    title="Request timeout",
    detail="The body did not come in time.",
    when="the body did not come in time",
    headers=CLOSE,
)
USERNAME_TAKEN = ProblemType(
    code=auth.UsernameTaken.code,
    raised_as=auth.UsernameTaken,
    status=409,
    title="Username taken",
    detail="Username already taken",
    when="somebody has that user name, in this or another spelling",
)
ALREADY_AUTHENTICATED = ProblemType(
    code=auth.AlreadyAuthenticated.code,
    raised_as=auth.AlreadyAuthenticated,
    status=409,
    title="Already authenticated",
    detail="Log out before you sign up.",
    when="sign-up with a live session",
)
PAYLOAD_TOO_LARGE = ProblemType(
    code="payload_too_large",
    status=413,
    title="Payload too large",
    detail="The body is larger than 16 KiB.",
    when="the body is larger than 16 KiB",
)
UNSUPPORTED_MEDIA_TYPE = ProblemType(
    code="unsupported_media_type",
    raised_as=UnsupportedMediaType,
    status=415,
    title="Unsupported media type",
    detail="The body must be application/json.",
    when="the body is anything but `application/json`",
)
RATE_LIMITED = ProblemType(
    code=auth.RateLimited.code,
    raised_as=auth.RateLimited,
    status=429,
    title="Rate limited",
    detail="Too many attempts; `Retry-After` tells in how many seconds there is another.",
    when="too many attempts; `Retry-After` tells when the next one is",
)
INTERNAL_ERROR = ProblemType(
    code="internal_error",
    status=500,
    title="Internal error",
    detail="Something went wrong on our side; the log knows it by the request id.",
    when="a defect; the log has the `request_id`",
)
OVERLOADED = ProblemType(
    code=auth.Overloaded.code,
    raised_as=auth.Overloaded,
    status=503,
    title="Overloaded",
    detail="Too many passwords wait to be checked; nothing was done.",
    when="too many passwords wait to be hashed; nothing was done",
    headers=SOON,
)
DATABASE_UNAVAILABLE = ProblemType(
    code="database_unavailable",
    raised_as=DatabaseUnavailable,
    status=503,
    title="Database unavailable",
    detail="The database does not answer; retry to see whether anything was done.",
    when="the database does not answer; nothing was done, or it was done and a retry tells",
    headers=SOON,
)

SCHEMA_BEHIND = ProblemType(
    code=auth.SchemaBehind.code,
    raised_as=auth.SchemaBehind,
    status=503,
    title="Schema behind",
    detail="The database lacks migrations; run `ostiary migrate`.",
    when="the database lacks migrations (`GET /readyz` only)",
    headers=SOON,
)

PROBLEM_TYPES = (
    MALFORMED_JSON,
    VALIDATION_FAILED,
    BAD_REQUEST,
    INVALID_CREDENTIALS,
    NOT_AUTHENTICATED,
    ORIGIN_REJECTED,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    REQUEST_TIMEOUT,
    USERNAME_TAKEN,
    ALREADY_AUTHENTICATED,
    PAYLOAD_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    RATE_LIMITED,
    INTERNAL_ERROR,
    OVERLOADED,
    DATABASE_UNAVAILABLE,
    SCHEMA_BEHIND,
)
BY_ERROR = {each.raised_as: each for each in PROBLEM_TYPES}

# Litestar raises these by itself.
BY_STATUS = {
    400: BAD_REQUEST,
    404: NOT_FOUND,
    405: METHOD_NOT_ALLOWED,
    413: PAYLOAD_TOO_LARGE,
}


def problems_table() -> str:
    """The problems as a Markdown table, for the README."""
    rows = ["| status | code | when |", "| --- | --- | --- |"]
    rows += [f"| {each.status} | `{each.code}` | {each.when} |" for each in PROBLEM_TYPES]
    return "\n".join(rows)


def problem_response(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Answer with a problem, whatever was raised; what nobody foresaw is logged and told as 500."""
    kind = problem_type_of(error)
    request_id = request_id_of(request.scope)
    if kind is INTERNAL_ERROR:
        log.error("internal_error", request_id=request_id, exc_info=error)
    elif kind is ORIGIN_REJECTED:
        log.warning("origin_rejected", request_id=request_id)
    elif kind is DATABASE_UNAVAILABLE:
        log.warning("database_unavailable", request_id=request_id, reason=str(error))
    return Response(
        Problem(
            type=kind.urn,
            title=kind.title,
            status=kind.status,
            code=kind.code,
            detail=str(error) if isinstance(error, MalformedJSON) else kind.detail,
            request_id=request_id,
            errors=error.errors if isinstance(error, auth.ValidationFailed) else UNSET,
        ),
        status_code=kind.status,
        media_type=MEDIA_TYPE,
        headers=headers_of(error, kind) | (CLOSE if may_have_more_to_say(request) else {}),
    )


def may_have_more_to_say(request: Request[Any, Any, Any]) -> bool:
    """Tell whether a body may be left unread, after which no other request can come."""
    length = request.headers.get("content-length", "0")
    return "transfer-encoding" in request.headers or int(length) > LARGEST_BODY


def problem_type_of(error: Exception) -> ProblemType:
    kind = BY_ERROR.get(type(error))
    if kind is None and isinstance(error, HTTPException):
        kind = BY_STATUS.get(error.status_code)
    return kind or INTERNAL_ERROR


def headers_of(error: Exception, kind: ProblemType) -> dict[str, str]:
    """The headers of the answer; for a method that is not allowed, Litestar tells which are."""
    if isinstance(error, auth.RateLimited):
        return {"Retry-After": str(error.retry_after)}
    if isinstance(error, MethodNotAllowedException):
        return {"Allow": (error.headers or {}).get("allow", "")}
    return kind.headers
