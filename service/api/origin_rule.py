"""Which browsers may change anything: those on our own origin, and on the listed ones.

The rule is that of Go's ``http.CrossOriginProtection``: what a browser says of a request in
``Sec-Fetch-Site`` decides, then its ``Origin``; who sends neither is no browser, and carries no
cookie that it was not told to. Log-in is covered as well: nobody is logged in as somebody else by
a page of another site.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler

OUR_OWN_SITE = frozenset({b"same-origin", b"none"})


class OriginRejected(HTTPException):
    """A page of an origin that is not ours and not listed wants to change something."""

    status_code = 403


async def require_known_origin(
    connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
) -> None:
    """Litestar's guard on every route that changes something. Raises `OriginRejected`.

    Not on the others: they have nothing to guard, and Litestar copies a route for each guard.
    """
    if not is_known(connection.scope["headers"], connection.app.state.allowed_origins):
        raise OriginRejected


def is_known(headers: Any, allowed_origins: frozenset[str]) -> bool:
    """Judge the raw headers of a request with an unsafe method.

    ``Origin: null``, a malformed one and two of them are never fine.
    """
    found: dict[bytes, list[bytes]] = {b"origin": [], b"sec-fetch-site": [], b"host": []}
    for name, value in headers:
        if name in found:
            found[name].append(value)
    origins, sites = found[b"origin"], found[b"sec-fetch-site"]
    if len(origins) > 1 or len(sites) > 1:
        return False
    origin = _parsed(origins[0]) if origins else None
    if origins and origin is None:
        return False
    if origin in allowed_origins:
        return True
    if sites:
        return sites[0] in OUR_OWN_SITE
    return origin is None or [urlsplit(origin).netloc.encode()] == found[b"host"]


def _parsed(raw: bytes) -> str | None:
    """An origin as browsers write it (RFC 6454, section 6.1); nothing for ``null`` and the like."""
    text = raw.decode("latin-1")
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    is_origin = parts.scheme in {"http", "https"} and parts.netloc and "@" not in parts.netloc
    return text if is_origin and text == f"{parts.scheme}://{parts.netloc}" else None
