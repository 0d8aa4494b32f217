"""The endpoints of access tokens, and of the keys that verify them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Request, get, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from service.api.http.json_body import Body, StrictJSON, require_json_body
from service.api.http.litestar_workarounds import documented_header
from service.api.http.problem_types import (
    DATABASE_UNAVAILABLE,
    NOT_AUTHENTICATED,
    NOT_FOUND,
    SIGNING_UNAVAILABLE,
)
from service.api.http.response_headers import allow_caching, allow_every_origin
from service.api.http.responses import (
    BODY_PROBLEMS,
    RENEWS_COOKIE,
    SESSION_SECURITY,
    problem_responses,
)
from service.api.http.state import state_of
from service.api.security.access_tokens import access_tokens_of, require_access_tokens
from service.api.security.cross_origin import reject_cross_origin
from service.api.security.guard import AuthenticatedRequest, require_session
from service.auth.programs.access_tokens import Audience
from service.auth.programs.signing_keys import ALGORITHM
from service.model.signing_keys import SigningKey

# How long verifiers may keep the keys, in seconds.
MAX_AGE = 300


class IssueAccessTokenRequest(Body, frozen=True, kw_only=True):
    """Request body of POST /me/token."""

    audience: Audience


class IssuedAccessToken(Struct, frozen=True, kw_only=True):
    """An access token."""

    token: Annotated[str, Meta(description="A JWT (RFC 9068), for `Authorization: Bearer …`.")]
    expires_at: Annotated[datetime, Meta(description="When the token expires: in a minute.")]


class JSONWebKey(Struct, frozen=True, kw_only=True):
    """A public key (RFC 7517)."""

    kid: Annotated[str, Meta(description="The `kid` of the tokens that it verifies.")]
    kty: Annotated[str, Meta(description="`EC`.")]
    crv: Annotated[str, Meta(description="`P-256`.")]
    x: Annotated[str, Meta(description="A coordinate, in base64url.")]
    y: Annotated[str, Meta(description="A coordinate, in base64url.")]
    alg: Annotated[str, Meta(description="`ES256`.")] = ALGORITHM
    use: Annotated[str, Meta(description="`sig`.")] = "sig"


class JSONWebKeySet(Struct, frozen=True, kw_only=True):
    """The public keys that verify access tokens."""

    keys: Annotated[list[JSONWebKey], Meta(description="The keys, in the order of their use.")]


class AccessTokenController(Controller):
    """Access tokens for other programs."""

    path = "/"
    tags = ("Access tokens",)

    @post(
        "/me/token",
        status_code=200,
        guards=[reject_cross_origin, require_access_tokens, require_session],
        before_request=require_json_body,
        dto=StrictJSON[IssueAccessTokenRequest],
        return_dto=None,
        security=SESSION_SECURITY,
        operation_id="issueAccessToken",
        summary="Get an access token for another program",
        response_headers=[RENEWS_COOKIE],
        response_description="The token.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            NOT_AUTHENTICATED,
            NOT_FOUND,
            SIGNING_UNAVAILABLE,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def issue_access_token(
        self, request: AuthenticatedRequest, data: JSONBody[IssueAccessTokenRequest]
    ) -> IssuedAccessToken:
        """Return a JWT by which another program knows the user, for a minute.

        It is valid until it expires, even if the session ends before.
        """
        access_tokens = access_tokens_of(request)
        issued = await access_tokens.issue(request.auth.live, data.audience)
        return IssuedAccessToken(token=issued.token, expires_at=issued.expires_at)

    @get(
        "/.well-known/jwks.json",
        guards=[require_access_tokens],
        operation_id="getKeys",
        summary="Get the keys that verify access tokens",
        response_headers=[
            documented_header("Cache-Control", f"`public, max-age={MAX_AGE}`"),
        ],
        response_description="The keys, as a JWK Set.",
        responses=problem_responses(NOT_FOUND, DATABASE_UNAVAILABLE),
    )
    async def get_keys(self, request: Request[Any, Any, Any]) -> JSONWebKeySet:
        """Return the public keys that verify access tokens (RFC 7517).

        A key is there an hour before it signs. Fetch them again for an unknown `kid`.
        """
        published = await state_of(request).services.signing_keys.published()
        allow_caching(request.scope, MAX_AGE)
        allow_every_origin(request.scope)
        return JSONWebKeySet(keys=[json_web_key(each) for each in published])


def json_web_key(key: SigningKey) -> JSONWebKey:
    """Return the public part of a signing key, as it is published."""
    public = key.public_key
    return JSONWebKey(
        kid=str(key.id), kty=public["kty"], crv=public["crv"], x=public["x"], y=public["y"]
    )
