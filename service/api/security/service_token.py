"""The guard of routes for other programs: a service token, in the header ``Authorization`` only.

It travels as a bearer token (RFC 6750), or by Basic (RFC 7617) as the password, for clients of
OAuth 2.0 that know no other way to introspect. They encode both parts as a form does (RFC 6749,
section 2.3.1). The user is ignored: the token has its id in it.
"""

from __future__ import annotations

from binascii import a2b_base64
from typing import Any, TypeAlias
from urllib.parse import unquote_plus

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard
from litestar.types import Scope as ASGIScope

from service.api.http.request_context import request_context
from service.api.http.state import APIState, state_of
from service.auth.audit import Event, record
from service.auth.errors import InsufficientScope
from service.auth.programs.presented_tokens import PresentedToken
from service.model.service_tokens import Scope, ServiceToken

ProgramRequest: TypeAlias = Request[Any, ServiceToken, State]


def require_scope(scope: Scope) -> Guard:
    """Return the guard of a route that needs a service token with this scope.

    It sets ``auth`` of the request to the `ServiceToken`, and raises `InvalidServiceToken` and
    `InsufficientScope`.
    """

    async def require_service_token(
        connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
    ) -> None:
        await authorise(connection.scope, state_of(connection), scope)

    return require_service_token


async def authorise(request: ASGIScope, state: APIState, scope: Scope) -> None:
    """Do what the guard does, for what is no route of Litestar's."""
    request["auth"] = await state.services.service_tokens.authenticate(presented_token(request))
    _require(scope, request, state)


def require_further_scope(connection: ASGIConnection[Any, Any, Any, Any], scope: Scope) -> None:
    """Raise `InsufficientScope` if a program lacks the scope for a part of its request."""
    _require(scope, connection.scope, state_of(connection))


def _require(scope: Scope, request: ASGIScope, state: APIState) -> None:
    token: ServiceToken = request["auth"]
    if scope not in token.scopes:
        record(Event.SCOPE_REFUSED, request_context(request, state), scope=scope.value)
        raise InsufficientScope(scope)


def presented_token(scope: ASGIScope) -> PresentedToken | None:
    """Return the service token that a request presents; none of several (RFC 9110, 5.3)."""
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(values) != 1:
        return None
    scheme, _, credentials = values[0].partition(b" ")
    credentials = credentials.strip(b" ")
    match scheme.lower():
        case b"bearer":
            return PresentedToken.parse(credentials.decode("latin-1"))
        case b"basic":
            return PresentedToken.parse(password_in(credentials))
    return None


def password_in(credentials: bytes) -> str:
    """Return the password of Basic credentials, decoded as that of a form; empty if malformed."""
    try:
        decoded = a2b_base64(credentials, strict_mode=True).decode()
    except ValueError:
        return ""
    return unquote_plus(decoded.partition(":")[2])
