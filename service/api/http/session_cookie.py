"""The session cookie (RFC 6265): its name and attributes, set, cleared and read."""

from __future__ import annotations

from litestar.types import Scope

from service.api.http.response_headers import queue_cookie
from service.auth.tokens import Token
from service.model.sessions import Session
from service.settings.cookies import CookieSettings


class SessionCookie:
    """The cookie that carries a token."""

    def __init__(self, settings: CookieSettings, *, secure: bool) -> None:
        host_only = secure and settings.host_prefix and settings.domain is None
        self.name = f"__Host-{settings.name}" if host_only else settings.name
        self._prefix = f"{self.name}=".encode()
        self._attributes = "; HttpOnly; Path=/; SameSite=" + settings.samesite.capitalize()
        if settings.domain is not None:
            self._attributes += f"; Domain={settings.domain}"
        if secure:
            self._attributes += "; Secure"

    def set(self, scope: Scope, token: Token, session: Session) -> None:
        """Set the cookie with the response.

        It expires when the session does; after a change of the password, up to one active period
        later.
        """
        seconds = int((session.idle_expires_at - session.renewed_at).total_seconds())
        queue_cookie(scope, f"{self.name}={token.text}; Max-Age={seconds}{self._attributes}")

    def clear(self, scope: Scope) -> None:
        """Clear the cookie with the response."""
        queue_cookie(scope, f"{self.name}=; Max-Age=0{self._attributes}")

    def values_in(self, header: bytes) -> list[bytes]:
        """Return the values of the cookies of this name in a ``Cookie`` header."""
        pairs = (pair.strip() for pair in header.split(b";"))
        return [pair[len(self._prefix) :] for pair in pairs if pair.startswith(self._prefix)]
