"""Requests to another application that a proxy asks about: which of them a cookie may prove.

The rule is that of `cross_origin`, for the request that is forwarded: where its method is unsafe,
or it opens a WebSocket, it has to come from a page of the application's own origin, or of a listed
one. Browsers send cookies with WebSocket handshakes of all pages, and no other rule keeps these
from reading what the application sends (RFC 6455, section 10.2).
"""

from __future__ import annotations

from typing import Any

from litestar.types import Scope

from service.api.http.client_address import ClientAddresses
from service.api.http.cors import loggable_origin
from service.api.http.errors import OriginRejected
from service.api.security.cross_origin import is_trusted_forwarded_origin
from service.settings.origins import normalised_origin
from service.settings.verify_policies import FROM_REQUEST, VerifyPolicy

SAFE_METHODS = frozenset({b"GET", b"HEAD", b"OPTIONS"})

# Proxies pass on some of these only: `Upgrade` is for one connection (RFC 9110, section 7.6.1).
_OF_WEBSOCKETS = frozenset(
    {
        *(b"upgrade", b"sec-websocket-key", b"sec-websocket-version"),
        *(b"sec-websocket-protocol", b"sec-websocket-extensions"),
    }
)
# As proxies name the schemes of pages that open WebSockets.
_SCHEMES = {"ws": "http", "wss": "https"}


class ForwardedRequests:
    """The cross-origin rule for requests that are forwarded under a policy."""

    def __init__(self, policy: VerifyPolicy) -> None:
        self._is_request_itself = policy.method_from == FROM_REQUEST
        self._method_header = policy.method_from.encode()
        self._host_header = b"host" if self._is_request_itself else b"x-forwarded-host"
        self._origins = policy.origins

    def check(self, scope: Scope, addresses: ClientAddresses) -> None:
        """Raise `OriginRejected` if a cookie must not prove the forwarded request.

        Anybody may tell the method: a client that lies about it deceives nobody but itself, for no
        page can. The host counts only if a trusted proxy tells it.
        """
        headers: Any = scope["headers"]
        if self._is_safe(scope, headers):
            return
        own = self._origin_of_application(headers) if addresses.is_peer_trusted(scope) else None
        if not is_trusted_forwarded_origin(headers, self._origins, own):
            origins = [value for name, value in headers if name == b"origin"]
            raise OriginRejected(
                "Pages of this origin may not send this request to the application.",
                origin=", ".join(map(loggable_origin, origins[:2])) or None,
            )

    def _is_safe(self, scope: Scope, headers: Any) -> bool:
        """Return whether the method is safe, known, told once, and no WebSocket is opened."""
        methods = []
        for name, value in headers:
            if name == self._method_header:
                methods.append(value)
            elif name in _OF_WEBSOCKETS:
                return False
        if self._is_request_itself:
            methods = [scope["method"].encode()]  # type: ignore[typeddict-item]
        return len(methods) == 1 and methods[0] in SAFE_METHODS

    def _origin_of_application(self, headers: Any) -> str | None:
        """Return the origin under which a browser reaches the application, if it is told."""
        hosts = [value for name, value in headers if name == self._host_header]
        schemes = [value for name, value in headers if name == b"x-forwarded-proto"]
        if len(hosts) != 1 or len(schemes) != 1:
            return None
        scheme, host = schemes[0].decode("latin-1"), hosts[0].decode("latin-1")
        try:
            return normalised_origin(f"{_SCHEMES.get(scheme, scheme)}://{host}")
        except ValueError:
            return None
