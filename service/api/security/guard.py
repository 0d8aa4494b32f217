"""The guard of routes that need a session. It queries the session table on every request."""

from __future__ import annotations

from typing import Any, TypeAlias

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler
from msgspec import Struct

from service.api.http.state import state_of
from service.api.security.credentials import credential_of
from service.auth.sessions import LiveSession
from service.model.sessions import Transport


class Authentication(Struct, frozen=True):
    """The live session of a request, and how its token travelled."""

    live: LiveSession
    transport: Transport


AuthenticatedRequest: TypeAlias = Request[Any, Authentication, State]


async def require_session(
    connection: ASGIConnection[Any, Any, Any, State], _: BaseRouteHandler
) -> None:
    """Set ``auth`` of a request to its `Authentication`. Raises `NotAuthenticated`.

    The cookie of a session that was renewed is set again. One without a live session is not
    cleared: this response may overtake another one that has just set a new cookie.
    """
    scope, state = connection.scope, state_of(connection)
    credential = credential_of(scope, state.session_cookie)
    live = await state.services.sessions.authenticate(credential.tokens)
    if live.renewed and credential.transport is Transport.COOKIE:
        state.session_cookie.set(scope, live.token, live.session, live.session.renewed_at)
    scope["auth"] = Authentication(live, credential.transport)
