"""The cookie by which a device is recognised (RFC 6265)."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import format_datetime

from litestar.types import Scope

from service.api.http.request_cookies import cookie_pairs
from service.api.http.response_headers import cookie_attributes, queue_cookie
from service.auth.devices import DeviceToken
from service.settings.devices import DeviceSettings
from service.settings.values import SameSite


class DeviceCookie:
    """The cookie that carries a device token.

    It is never shared with other hosts, whatever the session cookie is: only this service reads it.
    """

    def __init__(self, settings: DeviceSettings, *, samesite: SameSite, secure: bool) -> None:
        self.name = f"__Host-{settings.cookie_name}" if secure else settings.cookie_name
        self._prefix = f"{self.name}=".encode()
        self._lifetime = timedelta(seconds=int(settings.lifetime))
        self._attributes = cookie_attributes(samesite, secure=secure)

    def set(self, scope: Scope, token: DeviceToken, now: datetime) -> None:
        """Set the cookie with the response. ``now`` is the database's time."""
        # `Expires` too: without it some clients send the value in quotes (RFC 6265, 4.1.1).
        expires = format_datetime(now + self._lifetime, usegmt=True)
        queue_cookie(
            scope,
            f"{self.name}={token.text}; Max-Age={int(self._lifetime.total_seconds())}; "
            f"Expires={expires}{self._attributes}",
        )

    def of(self, scope: Scope) -> DeviceToken | None:
        """Return the first device token among the cookies of a request."""
        for pair in cookie_pairs(scope):
            if pair.startswith(self._prefix):
                text = pair[len(self._prefix) :].strip(b'"').decode("latin-1")
                if token := DeviceToken.parse(text):
                    return token
        return None
