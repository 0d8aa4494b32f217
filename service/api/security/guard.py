"""The guard of routes that need a session. It queries the session table on every request."""

from __future__ import annotations

from typing import Any, TypeAlias

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler
from msgspec import Struct

from service.api.http.state import state_of
from service.api.security.credentials import Credential, Transport, credential_of
from service.auth.errors import NotAuthenticated
from service.auth.sessions import LiveSession, Sessions
from service.auth.tokens import Token


class Authentication(Struct, frozen=True):
    """The live session of a request, and the credential that proved it."""

    live: LiveSession
    token: Token
    transport: Transport


AuthenticatedRequest: TypeAlias = Request[Any, Authentication, State]


async def require_session(
    connection: ASGIConnection[Any, Any, Any, State], _: BaseRouteHandler
) -> None:
    """Set ``auth`` of a request to its `Authentication`. Raises `NotAuthenticated`.

    A cookie without a live session is cleared; one whose session was renewed is set again.
    """
    scope, state = connection.scope, state_of(connection)
    credential = credential_of(scope, state.session_cookie)
    try:
        authentication = await authenticate(credential, state.services.sessions)
    except NotAuthenticated:
        if credential is not None and credential.transport is Transport.COOKIE:
            state.session_cookie.clear(scope)
        raise
    live = authentication.live
    if live.renewed and authentication.transport is Transport.COOKIE:
        state.session_cookie.set(scope, authentication.token, live.session)
    scope["auth"] = authentication


async def authenticate(credential: Credential | None, sessions: Sessions) -> Authentication:
    """Return the live session that a credential opens. Raises `NotAuthenticated`."""
    if credential is None or credential.token is None:
        raise NotAuthenticated
    live = await sessions.authenticate(credential.token)
    return Authentication(live, credential.token, credential.transport)
