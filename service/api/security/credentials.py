"""Credentials: a bearer token (RFC 6750) or the session cookie (RFC 6265)."""

from __future__ import annotations

from enum import StrEnum

from litestar.types import Scope
from msgspec import Struct

from service.api.http.session_cookie import SessionCookie
from service.auth.tokens import Token


class Transport(StrEnum):
    """How a token travels."""

    COOKIE = "cookie"
    BEARER = "bearer"


class Credential(Struct, frozen=True):
    """The credential of a request. ``token`` is ``None`` if it is not a well-formed token."""

    transport: Transport
    token: Token | None


def credential_of(scope: Scope, cookie: SessionCookie) -> Credential | None:
    """Return the credential of a request. ``Authorization`` takes precedence over the cookie.

    Two ``Authorization`` headers, or two different cookies of the name, are a credential without a
    token: one of them may have been planted.
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
        return Credential(Transport.BEARER, _parse_token(value.strip(b" ")) if is_bearer else None)
    if cookies:
        token = _parse_token(cookies.pop()) if len(cookies) == 1 else None
        return Credential(Transport.COOKIE, token)
    return None


def _parse_token(value: bytes) -> Token | None:
    return Token.parse(value.decode("latin-1"))
