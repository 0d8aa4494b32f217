"""Responses as OpenAPI describes them: problems and headers that operations have in common."""

from __future__ import annotations

from itertools import groupby

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from service.api.http.litestar_workarounds import documented_header
from service.api.http.problem_types import (
    BAD_REQUEST,
    DATABASE_UNAVAILABLE,
    HOST_REJECTED,
    INSUFFICIENT_SCOPE,
    INTERNAL_ERROR,
    INVALID_SERVICE_TOKEN,
    MALFORMED_JSON,
    ORIGIN_REJECTED,
    PAYLOAD_TOO_LARGE,
    REQUEST_TIMEOUT,
    UNSUPPORTED_MEDIA_TYPE,
    VALIDATION_FAILED,
    ProblemType,
)
from service.api.http.problems import MEDIA_TYPE, Problem

EXAMPLE_REQUEST_ID = "5f0c6f0e4b5c4f6f8f0c9c8f0a1b2c3d"
EXAMPLE_ERRORS = [
    {
        "field": "username",
        "code": "too_short",
        "message": "Username must be at least 4 characters long.",
    }
]

ALWAYS_POSSIBLE = (BAD_REQUEST, HOST_REJECTED, INTERNAL_ERROR)
BODY_PROBLEMS = (
    MALFORMED_JSON,
    VALIDATION_FAILED,
    ORIGIN_REJECTED,
    REQUEST_TIMEOUT,
    PAYLOAD_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
)

SESSION_SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"cookie": []}]

PROGRAM_SECURITY: list[dict[str, list[str]]] = [{"serviceToken": []}, {"serviceTokenBasic": []}]
PROGRAM_PROBLEMS = (INVALID_SERVICE_TOKEN, INSUFFICIENT_SCOPE, DATABASE_UNAVAILABLE)

SETS_COOKIE = documented_header(
    "Set-Cookie",
    "The session cookie and, if the session was opened, the device cookie, with the transport "
    "`cookie`.",
)
RENEWS_COOKIE = documented_header(
    "Set-Cookie", "The session cookie, if this request renewed the session."
)
CLEARS_COOKIE = documented_header(
    "Set-Cookie", "Clears the session cookie, if the request carried it."
)
CLEARS_OR_RENEWS_COOKIE = documented_header(
    "Set-Cookie",
    "Clears the session cookie if this session ended; sets it if this request renewed the session.",
)
LOCATION = documented_header("Location", "`/me`")


def problem_responses(*kinds: ProblemType) -> dict[int, ResponseSpec]:
    """Return a response for each status of these problem types and of those that always apply."""
    ordered = sorted((*kinds, *ALWAYS_POSSIBLE), key=lambda kind: kind.status)
    return {
        status: _response(list(group))
        for status, group in groupby(ordered, key=lambda kind: kind.status)
    }


def _response(kinds: list[ProblemType]) -> ResponseSpec:
    return ResponseSpec(
        Problem,
        description="; ".join(f"`{kind.code}`: {kind.when}" for kind in kinds),
        media_type=MEDIA_TYPE,
        generate_examples=False,
        examples=[
            Example(id=kind.code, summary=kind.title, value=_example(kind)) for kind in kinds
        ],
    )


def _example(kind: ProblemType) -> dict[str, object]:
    example = {
        "type": kind.urn,
        "title": kind.title,
        "status": kind.status,
        "code": kind.code,
        "detail": kind.detail,
        "request_id": EXAMPLE_REQUEST_ID,
    }
    return {**example, "errors": EXAMPLE_ERRORS} if kind is VALIDATION_FAILED else example
