"""The session cookie (RFC 6265): its name and attributes, set, cleared and read."""

from __future__ import annotations

from datetime import datetime
from email.utils import format_datetime

import structlog
from litestar.types import Scope

from service.api.http.cors import loggable_origin
from service.api.http.request_cookies import cookie_pairs
from service.api.http.response_headers import cookie_attributes, queue_cookie
from service.auth.tokens import LegacyCookieToken, Token
from service.model.sessions import Session
from service.settings.cookies import CookieSettings
from service.settings.values import SameSite

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

REMEDY = (
    "In development open page and service by the same host name, or let the page's development "
    "server forward requests to the service; in production serve both from one site, or set "
    "OSTIARY_COOKIE_SAMESITE=none."
)

EXPIRED = "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"


class SessionCookie:
    """The cookie that carries a token."""

    def __init__(self, settings: CookieSettings, *, secure: bool) -> None:
        self.name = f"{_prefix(settings, secure=secure)}{settings.name}"
        self._samesite = settings.samesite
        self._has_warned = False
        kinds: dict[str, type[Token]] = {settings.name: LegacyCookieToken, self.name: Token}
        self._kinds = {name.encode(): kind for name, kind in kinds.items()}
        self._starts = tuple(name + b"=" for name in self._kinds)
        self._attributes = cookie_attributes(
            settings.samesite, secure=secure, domain=settings.domain
        )

    def set(self, scope: Scope, token: Token, session: Session, now: datetime) -> None:
        """Set the cookie with the response. It expires when the session does.

        ``now`` is the database's time. Some clients understand only ``Expires``, or send the value
        in quotes without it (Java's `CookieManager`); the others prefer ``Max-Age``, which does not
        depend on their clock.
        """
        seconds = int((session.idle_expires_at - now).total_seconds())
        date = format_datetime(session.idle_expires_at, usegmt=True)
        lifetime = f"Max-Age={seconds}; Expires={date}"
        queue_cookie(scope, f"{self.name}={token.text}; {lifetime}{self._attributes}")

    def clear(self, scope: Scope) -> None:
        """Clear the cookie with the response."""
        queue_cookie(scope, f"{self.name}=; {EXPIRED}{self._attributes}")

    def is_in(self, scope: Scope) -> bool:
        """Return whether a request has a session cookie, of whatever value."""
        return any(pair.startswith(self._starts) for pair in cookie_pairs(scope))

    def warn_if_cross_site(self, scope: Scope) -> None:
        """Log, once, that the browser of this request will not store the cookie, and the remedy.

        Nothing else shows it: the response has the cookie, and the next request does not.
        """
        if self._has_warned or self._samesite is SameSite.NONE:
            return
        headers = dict(scope["headers"])
        if headers.get(b"sec-fetch-site") == b"cross-site":
            self._has_warned = True
            log.warning(
                "cookie_lost_cross_site",
                origin=loggable_origin(headers.get(b"origin", b"")),
                samesite=self._samesite.value,
                remedy=REMEDY,
            )

    def tokens_in(self, header: bytes) -> list[Token]:
        """Return the tokens in the cookies of these names in a ``Cookie`` header.

        A value may be in quotes (RFC 6265, section 4.1.1).
        """
        tokens = []
        for pair in header.split(b";"):
            stripped = pair.strip()
            if stripped.startswith(self._starts):
                name, _, value = stripped.partition(b"=")
                if value[:1] == value[-1:] == b'"':
                    value = value[1:-1]
                token = self._kinds[name].parse(value.decode("latin-1"))
                if token is not None:
                    tokens.append(token)
        return tokens


def _prefix(settings: CookieSettings, *, secure: bool) -> str:
    """Return the strongest prefix that browsers accept with these settings (RFC 6265bis)."""
    if not secure or not settings.host_prefix:
        return ""
    return "__Host-" if settings.domain is None else "__Secure-"
