"""What a request shows to prove whose it is: a bearer token (RFC 6750) or the session cookie."""

from __future__ import annotations

from enum import StrEnum

from litestar.types import Scope
from msgspec import Struct

from service.api.response_headers import queue_cookie
from service.auth.tokens import Token
from service.model import Session
from service.settings import Settings


class Transport(StrEnum):
    """How the token travels."""

    COOKIE = "cookie"
    BEARER = "bearer"


class Credential(Struct, frozen=True):
    """The credential of a request. ``token`` is missing where the credential cannot be one."""

    transport: Transport
    token: Token | None


class SessionCookie:
    """The cookie that carries a token: its name, its attributes, how it is set and cleared."""

    def __init__(self, settings: Settings) -> None:
        secure = settings.is_production
        host_only = secure and settings.cookie_host_prefix and settings.cookie_domain is None
        self.name = f"__Host-{settings.cookie_name}" if host_only else settings.cookie_name
        self._prefix = f"{self.name}=".encode()
        self._attributes = "; HttpOnly; Path=/; SameSite=" + settings.cookie_samesite.capitalize()
        if settings.cookie_domain is not None:
            self._attributes += f"; Domain={settings.cookie_domain}"
        if secure:
            self._attributes += "; Secure"

    def set(self, scope: Scope, token: Token, session: Session) -> None:
        """Have the answer set the cookie; it lasts as long as the session can be renewed."""
        seconds = int((session.idle_expires_at - session.renewed_at).total_seconds())
        queue_cookie(scope, f"{self.name}={token.text}; Max-Age={seconds}{self._attributes}")

    def clear(self, scope: Scope) -> None:
        """Have the answer make the client forget the cookie."""
        queue_cookie(scope, f"{self.name}=; Max-Age=0{self._attributes}")

    def values_in(self, header: bytes) -> list[bytes]:
        """The values of all cookies of our name; a sane client sends one at most."""
        pairs = (pair.strip() for pair in header.split(b";"))
        return [pair[len(self._prefix) :] for pair in pairs if pair.startswith(self._prefix)]


def credential_of(scope: Scope, cookie: SessionCookie) -> Credential | None:
    """Read what the request shows; where it has both, the header counts.

    Two headers, or two cookies of our name that differ, are no credential: one may be planted.
    """
    bearers: list[bytes] = []
    cookies: set[bytes] = set()
    for name, value in scope["headers"]:
        if name == b"authorization":
            bearers.append(value)
        elif name == b"cookie":
            cookies.update(cookie.values_in(value))
    if bearers:
        scheme, _, value = bearers[0].partition(b" ")
        is_bearer = len(bearers) == 1 and scheme.lower() == b"bearer"
        return Credential(Transport.BEARER, _token(value.strip(b" ")) if is_bearer else None)
    if cookies:
        return Credential(Transport.COOKIE, _token(cookies.pop()) if len(cookies) == 1 else None)
    return None


def _token(value: bytes) -> Token | None:
    return Token.parse(value.decode("latin-1"))
