"""The guard: no live session, no answer. It asks the session table on every request."""

from __future__ import annotations

from typing import Any, TypeAlias

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler
from msgspec import Struct

from service.api.credentials import Credential, SessionCookie, Transport, credential_of
from service.auth.errors import NotAuthenticated
from service.auth.sessions import LiveSession, Sessions
from service.auth.tokens import Token
from service.model import User


class Authentication(Struct, frozen=True):
    """How a request proved whose it is."""

    live: LiveSession
    token: Token
    transport: Transport


AuthenticatedRequest: TypeAlias = Request[User, Authentication, State]


async def require_session(
    connection: ASGIConnection[Any, Any, Any, State], _: BaseRouteHandler
) -> None:
    """Put the `Authentication` of a request into its ``auth``. Raises `NotAuthenticated`.

    A cookie that opens nothing is cleared; one whose session was renewed is set again.
    """
    scope, state = connection.scope, connection.app.state
    session_cookie: SessionCookie = state.session_cookie
    credential = credential_of(scope, session_cookie)
    try:
        authentication = await authenticate(credential, state.sessions)
    except NotAuthenticated:
        if credential is not None and credential.transport is Transport.COOKIE:
            session_cookie.clear(scope)
        raise
    live = authentication.live
    if live.renewed and authentication.transport is Transport.COOKIE:
        session_cookie.set(scope, authentication.token, live.session)
    scope["auth"] = authentication
    scope["user"] = live.user


async def authenticate(credential: Credential | None, sessions: Sessions) -> Authentication:
    """Find what the credential opens. Raises `NotAuthenticated`."""
    if credential is None or credential.token is None:
        raise NotAuthenticated
    live = await sessions.authenticate(credential.token)
    return Authentication(live, credential.token, credential.transport)
