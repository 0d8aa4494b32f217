"""The signature of an ID token: a JWS (RFC 7515) by one of the provider's keys."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry
from msgspec import Struct

from service.auth import base64url
from service.auth.oidc.cached import Cached
from service.auth.oidc.failures import ProofRefused
from service.auth.oidc.key_sets import KeySet, issuer_of

# Characters. ID tokens with many groups have some ten thousands.
MAX_LENGTH = 64 * 1024
MAX_HEADER_LENGTH = 8 * 1024

# A JWT for another purpose, by the same key (RFC 8725, section 3.11).
_OTHER_TYPES = {"at+jwt", "logout+jwt", "secevent+jwt"}


class Signed(Struct, frozen=True, kw_only=True):
    """What a key has signed, and the issuer in that key, if there is one. Its ``repr`` hides it."""

    payload: bytes
    key_issuer: object

    def __repr__(self) -> str:
        return "Signed(…)"


class Header(Struct, frozen=True, kw_only=True):
    """The header of a token. Keys and addresses of keys in it are never looked at."""

    alg: str
    kid: str | None = None
    typ: str | None = None
    crit: object = None


class Registry(JWSRegistry):
    """Verifies by the algorithms of the settings; header parameters it does not know are ignored.

    `JWSRegistry` warns of ``EdDSA``, whose name RFC 9864 deprecates, and which providers use.
    """

    max_header_length = MAX_HEADER_LENGTH

    def __init__(self, algorithms: Collection[str]) -> None:
        super().__init__(algorithms=algorithms, strict_check_header=False)

    def get_alg(self, name: str) -> Any:
        """Return an algorithm of the settings."""
        return self.algorithms[name]


async def verified(token: str, keys: Cached[KeySet], algorithms: Collection[str]) -> Signed:
    """Return what is in a token that one of the keys has signed.

    Keys that do not verify it are fetched anew, at most once a minute: the provider may have new
    ones. Raises `ProofRefused`, and `FetchFailed` if the keys cannot be fetched.
    """
    header = _header(token)
    if header.alg not in algorithms:
        raise ProofRefused("the signature algorithm is not allowed")
    if header.crit is not None or (header.typ or "").lower().removeprefix("application/") in (
        _OTHER_TYPES
    ):
        raise ProofRefused("it is a token for another purpose")
    known = await keys.get()
    signed = _verified(token, header, known)
    if signed is None:
        newer = await keys.newer_than(known)
        signed = None if newer is known else _verified(token, header, newer)
    if signed is None:
        raise ProofRefused("none of the provider's keys has signed it")
    return signed


def _header(token: str) -> Header:
    if len(token) > MAX_LENGTH:
        raise ProofRefused("it is too long")
    encoded, _, rest = token.partition(".")
    if rest.count(".") != 1:
        raise ProofRefused("it is no signed token")
    try:
        return msgspec.json.decode(base64url.decode(encoded), type=Header)
    except (ValueError, RecursionError):
        raise ProofRefused("its header cannot be read") from None


def _verified(token: str, header: Header, keys: KeySet) -> Signed | None:
    registry = Registry([header.alg])
    for key in keys.candidates(header.alg, header.kid):
        try:
            payload = jws.deserialize_compact(token, key, registry=registry).payload
        except (JoseError, ValueError):
            continue
        return Signed(payload=payload, key_issuer=issuer_of(key))
    return None
