"""Session tokens in requests and responses."""

from __future__ import annotations

from typing import Any

from litestar import Request
from msgspec import UNSET

from service.api.devices import is_in_cookie
from service.api.http.state import state_of
from service.api.schemas import Authenticated, authenticated
from service.api.security import credentials
from service.api.security.guard import AuthenticatedRequest
from service.auth.sessions import OpenedSession
from service.auth.tokens import Token
from service.model.sessions import Transport


def carried_tokens(request: Request[Any, Any, Any]) -> list[Token]:
    """Return the tokens that a request carries; their sessions need not be live."""
    return credentials.carried_tokens(request.scope, state_of(request).session_cookie)


def issue_token(
    request: Request[Any, Any, Any], opened: OpenedSession, transport: Transport
) -> Authenticated:
    """Send the token of a session in the cookie or in the body, never in both. Returns the body.

    The device's token is sent in the same way, but for one that came in a cookie: scripts must not
    see that.
    """
    state, device = state_of(request), opened.device
    if transport is Transport.COOKIE:
        state.session_cookie.warn_if_cross_site(request.scope)
        state.session_cookie.set(request.scope, opened.token, opened.session, opened.issued_at)
        if device is not None:
            state.device_cookie.set(request.scope, device, opened.issued_at)
        return authenticated(
            opened.user,
            opened.session,
            fresh=True,
            recovery_codes_left=opened.recovery_codes_left,
        )
    return authenticated(
        opened.user,
        opened.session,
        fresh=True,
        token=opened.token.text,
        device_token=UNSET if device is None or is_in_cookie(request, device) else device.text,
        recovery_codes_left=opened.recovery_codes_left,
    )


def clear_session_cookie(request: AuthenticatedRequest) -> None:
    """Clear the cookie of a session that ended, if the request carried its token in the cookie."""
    if request.auth.transport is Transport.COOKIE:
        state_of(request).session_cookie.clear(request.scope)


def clear_carried_cookie(request: Request[Any, Any, Any]) -> None:
    """Clear the session cookie, if the request carried one: no token of it is left."""
    cookie = state_of(request).session_cookie
    if cookie.is_in(request.scope):
        cookie.clear(request.scope)
