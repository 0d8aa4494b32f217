"""Credentials: a bearer token (RFC 6750) or the session cookie (RFC 6265)."""

from __future__ import annotations

from litestar.types import Scope
from msgspec import Struct

from service.api.http.session_cookie import SessionCookie
from service.auth.tokens import Token
from service.model.sessions import Transport

# Each token of a request is looked up. Browsers that are not deceived send one.
MAX_TOKENS = 16


class Credential(Struct, frozen=True):
    """The credential of a request: well-formed tokens, of which one may open its session."""

    transport: Transport
    tokens: list[Token]


def credential_of(scope: Scope, cookie: SessionCookie, only: Transport | None = None) -> Credential:
    """Return the credential of a request. A bearer token takes precedence over the cookie.

    With ``only`` no credential of the other transport counts.

    ``Authorization`` with another scheme, or none, is meant for a proxy or another program: the
    cookie decides. Two bearer tokens are none (RFC 9110, section 5.3). Of several cookies each
    counts.
    """
    bearers, cookies = _tokens_in(scope, cookie)
    if only is Transport.BEARER or (bearers and only is None):
        token = bearers[0] if len(bearers) == 1 else None
        return Credential(Transport.BEARER, [] if token is None else [token])
    return Credential(Transport.COOKIE, cookies if len(cookies) <= 1 else _distinct(cookies))


def carried_tokens(scope: Scope, cookie: SessionCookie) -> list[Token]:
    """Return all well-formed tokens of a request, wherever they are: at most `MAX_TOKENS`."""
    bearers, cookies = _tokens_in(scope, cookie)
    return _distinct([*(token for token in bearers if token is not None), *cookies])


def _tokens_in(scope: Scope, cookie: SessionCookie) -> tuple[list[Token | None], list[Token]]:
    """Return the bearer tokens, ``None`` for malformed ones, and those of cookies."""
    bearers: list[Token | None] = []
    cookies: list[Token] = []
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, text = value.partition(b" ")
            if scheme.lower() == b"bearer":
                bearers.append(Token.parse(text.strip(b" ").decode("latin-1")))
        elif name == b"cookie":
            cookies += cookie.tokens_in(value)
    return bearers, cookies


def _distinct(tokens: list[Token]) -> list[Token]:
    """Return each token once: the stronger kind of one that is there as both.

    More than `MAX_TOKENS` are no mistake, but an attack: none of them counts.
    """
    distinct: dict[str, Token] = {}
    for token in tokens:
        if token.text not in distinct or not token.by_legacy_cookie:
            distinct[token.text] = token
    return list(distinct.values()) if len(distinct) <= MAX_TOKENS else []
