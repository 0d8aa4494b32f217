"""Protection against cross-origin requests (CSRF): which origins may send unsafe methods.

The rule follows Go's ``http.CrossOriginProtection``: an allowed ``Origin`` is accepted; otherwise
``Sec-Fetch-Site`` decides or, without it, whether ``Origin`` matches ``Host``. A request with
neither header does not come from a browser, or only from one that sends no cookies with it.

``Sec-Fetch-Site`` comes from the browser itself, and no page can change it. It is ``same-origin``
only if every redirect on the way was, so ``Origin: null`` beside it is that of our own page under
the referrer policy ``no-referrer``. Sandboxed frames and ``data:`` URLs are ``cross-site``. Beside
``none``, by which browsers mark what no page has started, Go accepts any origin; here only none at
all or one of http and https.

Log-in is protected as well (login CSRF): a page of another site must not log its visitors in to an
account of its own.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from service.api.http.cors import loggable_origin
from service.api.http.errors import OriginRejected
from service.api.http.state import state_of

_DEFAULT_PORTS = {"http": b":80", "https": b":443"}


async def reject_cross_origin(
    connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
) -> None:
    """Guard a route with an unsafe method. Raises `OriginRejected`.

    Routes with safe methods change nothing but the expiry of an idle session, and do without it:
    Litestar 2 copies a route for each guard of each request (see `litestar_workarounds`).
    """
    headers = connection.scope["headers"]
    if not is_trusted_origin(headers, state_of(connection).allowed_origins):
        origins = [value for name, value in headers if name == b"origin"]
        raise OriginRejected(origin=", ".join(map(loggable_origin, origins[:2])) or None)


def is_trusted_origin(headers: Any, allowed_origins: frozenset[str]) -> bool:
    """Return whether a request with these raw headers may send an unsafe method.

    A malformed origin, and two ``Origin`` or ``Sec-Fetch-Site`` headers, are never trusted.
    """
    found: dict[bytes, list[bytes]] = {b"origin": [], b"sec-fetch-site": [], b"host": []}
    for name, value in headers:
        if name in found:
            found[name].append(value)
    origins, sites = found[b"origin"], found[b"sec-fetch-site"]
    if len(origins) > 1 or len(sites) > 1:
        return False
    origin = origins[0].decode("latin-1") if origins else None
    if origin in allowed_origins:
        return True
    if sites:
        return _is_of_own_page(origin, sites[0])
    return origin is None or (_is_web_origin(origin) and _is_of_host(origin, found[b"host"]))


def is_trusted_forwarded_origin(
    headers: Any, allowed_origins: frozenset[str], own_origin: str | None
) -> bool:
    """Return whether a request with these raw headers may be sent to an application with a cookie.

    ``own_origin`` is that of the application, if it is known. As `is_trusted_origin`, but a request
    with neither ``Origin`` nor ``Sec-Fetch-Site`` is not trusted: the proxy may lose them.
    """
    origins = [value for name, value in headers if name == b"origin"]
    sites = [value for name, value in headers if name == b"sec-fetch-site"]
    if len(origins) > 1 or len(sites) > 1:
        return False
    origin = origins[0].decode("latin-1") if origins else None
    if origin is not None and origin in {*allowed_origins, own_origin}:
        return True
    return bool(sites) and _is_of_own_page(origin, sites[0])


def _is_of_own_page(origin: str | None, site: bytes) -> bool:
    """Return whether ``Sec-Fetch-Site`` says that a page of the same origin, or none, has asked."""
    is_web = origin is None or _is_web_origin(origin)
    return (site == b"same-origin" and (is_web or origin == "null")) or (site == b"none" and is_web)


def _is_web_origin(text: str) -> bool:
    """Return whether a text is an origin of http or https, as browsers serialise it."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return (
        parts.scheme in _DEFAULT_PORTS
        and bool(parts.netloc)
        and "@" not in parts.netloc
        and text == f"{parts.scheme}://{parts.netloc}"
    )


def _is_of_host(origin: str, hosts: list[bytes]) -> bool:
    """Return whether an origin has the host and the port of the only ``Host``.

    Browsers leave the default port out; a proxy may add it.
    """
    scheme, _, authority = origin.partition("://")
    netloc = authority.encode("latin-1")
    return hosts in ([netloc], [netloc + _DEFAULT_PORTS[scheme]])
