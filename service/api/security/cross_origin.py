"""Protection against cross-origin requests (CSRF): which origins may send unsafe methods.

The rule follows Go's ``http.CrossOriginProtection``: an allowed ``Origin`` is accepted; otherwise
``Sec-Fetch-Site`` decides or, without it, whether ``Origin`` matches ``Host``. A request with
neither header does not come from a browser, or only from one that sends no cookies with it. Go
trusts more: ``Origin: null`` or a malformed origin is always refused here.

Log-in is protected as well (login CSRF): a page of another site must not log its visitors in to an
account of its own.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from service.api.http.errors import OriginRejected
from service.api.http.state import state_of

SAFE_SITES = frozenset({b"same-origin", b"none"})


async def reject_cross_origin(
    connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
) -> None:
    """Guard a route with an unsafe method. Raises `OriginRejected`.

    Routes with safe methods change nothing but the expiry of an idle session, and do without it:
    Litestar 2 copies a route for each guard of each request (see `litestar_workarounds`).
    """
    if not is_trusted_origin(connection.scope["headers"], state_of(connection).allowed_origins):
        raise OriginRejected


def is_trusted_origin(headers: Any, allowed_origins: frozenset[str]) -> bool:
    """Return whether a request with these raw headers may send an unsafe method.

    ``Origin: null``, a malformed origin and two ``Origin`` headers are never trusted.
    """
    found: dict[bytes, list[bytes]] = {b"origin": [], b"sec-fetch-site": [], b"host": []}
    for name, value in headers:
        if name in found:
            found[name].append(value)
    origins, sites = found[b"origin"], found[b"sec-fetch-site"]
    if len(origins) > 1 or len(sites) > 1:
        return False
    origin = _parse_origin(origins[0]) if origins else None
    if origins and origin is None:
        return False
    if origin in allowed_origins:
        return True
    if sites:
        return sites[0] in SAFE_SITES
    return origin is None or [urlsplit(origin).netloc.encode()] == found[b"host"]


def _parse_origin(raw: bytes) -> str | None:
    """Return an origin as browsers serialise it (RFC 6454, section 6.1); ``None`` for others."""
    text = raw.decode("latin-1")
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    is_origin = parts.scheme in {"http", "https"} and parts.netloc and "@" not in parts.netloc
    return text if is_origin and text == f"{parts.scheme}://{parts.netloc}" else None
