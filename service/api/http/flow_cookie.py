"""The cookies by which a browser proves that it began a flow at a provider (RFC 6265)."""

from __future__ import annotations

from hashlib import sha256

from litestar.types import Scope

from service.api.http.own_cookies import FLOW_COOKIE
from service.api.http.request_cookies import cookie_pairs
from service.api.http.response_headers import cookie_attributes, queue_cookie
from service.auth.identities.flow_secrets import FlowClient, FlowSecret
from service.settings.values import SameSite

# As long as browsers keep a cookie (RFC 6265bis, section 5.5), in seconds: a flow that is under way
# when the cookie expires cannot be completed.
LIFETIME = 400 * 24 * 3600

# A browser has one, or a few if tabs began their first flows at once. The others are ignored.
MAX_COOKIES = 8


class FlowCookie:
    """The cookie that carries a flow secret, which serves all flows of a browser.

    Its name ends in a digest of the secret: two tabs that begin the first two flows at once do not
    overwrite each other's.
    """

    def __init__(self, *, samesite: SameSite, secure: bool) -> None:
        self._name = f"__Host-{FLOW_COOKIE}" if secure else FLOW_COOKIE
        self._prefix = f"{self._name}_".encode()
        self._attributes = cookie_attributes(samesite, secure=secure)

    def secret_for(self, scope: Scope) -> FlowSecret:
        """Return the secret of the browser, which gets one with the response if it has none."""
        held = self.secrets_in(scope)
        secret = held[0] if held else FlowSecret.issue(FlowClient.BROWSER)
        name = f"{self._name}_{sha256(secret.text.encode()).hexdigest()[:8]}"
        queue_cookie(scope, f"{name}={secret.text}; Max-Age={LIFETIME}{self._attributes}")
        return secret

    def secrets_in(self, scope: Scope) -> list[FlowSecret]:
        """Return the flow secrets among the cookies of a request."""
        texts = [
            pair.partition(b"=")[2].strip().strip(b'"').decode("latin-1")
            for pair in cookie_pairs(scope)
            if pair.startswith(self._prefix)
        ]
        found = [FlowSecret.parse(text, FlowClient.BROWSER) for text in texts[:MAX_COOKIES]]
        return [secret for secret in found if secret is not None]
