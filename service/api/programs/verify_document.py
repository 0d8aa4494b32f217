"""What the OpenAPI document says of `/verify`, which is no route of Litestar's (see `Verify`).

OpenAPI has no path parameter that goes on to the end of the path, and no operation for any method.
"""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get
from litestar.params import PathParameter

from service.api.http.litestar_workarounds import documented_header
from service.api.http.problem_types import (
    DATABASE_UNAVAILABLE,
    INSUFFICIENT_ROLE,
    NOT_AUTHENTICATED,
    NOT_FOUND,
    ORIGIN_REJECTED,
    REAUTHENTICATION_REQUIRED,
)
from service.api.http.responses import RENEWS_COOKIE, SESSION_SECURITY, problem_responses

_IDENTITY = [
    documented_header("X-Ostiary-User-Id", "The user's id."),
    documented_header("X-Ostiary-Username", "The user name, percent-encoded; empty without one."),
    documented_header(
        "X-Ostiary-Email", "The verified address, percent-encoded; empty without one."
    ),
    documented_header("X-Ostiary-Roles", "The roles, sorted, separated by commas."),
    documented_header("X-Ostiary-Session-Id", "The session's id."),
    documented_header(
        "X-Ostiary-Methods", "By what the user was proven, sorted, separated by commas."
    ),
    documented_header("Remote-User", "The user's id."),
    documented_header(
        "X-Ostiary-Cookie",
        "The request's cookies without those of the service: what the application may see.",
    ),
    documented_header(
        "Cookie", "The same, for proxies that pass a header on by its own name only."
    ),
    RENEWS_COOKIE,
]


class VerifyDocument(Controller):
    """`/verify`, for the document only."""

    path = "/verify"
    tags = ("Programs",)
    security = SESSION_SECURITY

    @get(
        status_code=204,
        operation_id="verify",
        summary="Verify a request to an application",
        response_headers=_IDENTITY,
        response_description="There is a live session: the request may pass.",
        responses=problem_responses(NOT_AUTHENTICATED, ORIGIN_REJECTED, DATABASE_UNAVAILABLE),
    )
    async def verify(self) -> None:
        """Ask for a reverse proxy whether a request has a live session, and whose.

        Any method will do, and the query and the body are ignored. With a session cookie, the
        method of the request that is asked about is that in `X-Forwarded-Method`; one that is not
        safe, and a WebSocket, must come from a page of the application itself.
        """

    @get(
        "/{policy:str}",
        status_code=204,
        operation_id="verifyByPolicy",
        summary="Verify a request by a policy",
        response_headers=_IDENTITY,
        response_description="The session is what the policy asks for: the request may pass. The "
        "status is 200 if `method_from` of the policy is `request`, as Envoy wants it.",
        responses=problem_responses(
            NOT_AUTHENTICATED,
            REAUTHENTICATION_REQUIRED,
            ORIGIN_REJECTED,
            INSUFFICIENT_ROLE,
            NOT_FOUND,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def verify_by_policy(
        self,
        policy: Annotated[
            str,
            PathParameter(
                description="The name of a policy in `OSTIARY_VERIFY_POLICIES_FILE`. Any path may "
                "follow, for proxies that append that of the request."
            ),
        ],
    ) -> None:
        """Ask for a reverse proxy whether a request has the session that a policy asks for."""
