"""The keys of a provider (RFC 7517), by which its ID tokens are verified."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from msgspec import Struct

from service.auth.oidc.discovery import Metadata
from service.auth.oidc.failures import FetchFailed
from service.auth.oidc.fetching import Fetcher

# A key of a shared secret (`OctKey`) is none of these.
PublicKey = RSAKey | ECKey | OKPKey

# Verifying by larger keys takes ever longer (bits), and by a large exponent as long as signing.
_MAX_RSA_SIZE = 8192
_MAX_RSA_EXPONENT_SIZE = 64

# What is read of a key (RFC 7517, section 4; RFC 7518, sections 6.2 and 6.3; RFC 8037, section 2).
# Of private members nothing is needed, and to compute the primes of a key of RSA from its private
# exponent can take for ever. Microsoft has a member of its own, for whose tokens a key is.
_ISSUER = "issuer"
_MEMBERS = {"kty", "use", "key_ops", "alg", "kid", "n", "e", "crv", "x", "y", _ISSUER}

MAX_KEYS = 100


class KeySetDocument(Struct, frozen=True, kw_only=True):
    """A JWK Set, with keys of whatever kind."""

    keys: list[dict[str, Any]]


class KeySet:
    """The keys of a provider that may verify signatures."""

    def __init__(self, keys: Sequence[PublicKey]) -> None:
        self._keys = keys

    def candidates(self, algorithm: str, key_id: str | None) -> list[PublicKey]:
        """Return the keys for an algorithm that have an id.

        Without an id, a key is known only if it is the one for the algorithm (OpenID Connect Core,
        section 10.1).
        """
        usable = [each for each in self._keys if _is_for(algorithm, each)]
        if key_id is None:
            return usable if len(usable) == 1 else []
        return [each for each in usable if each.kid == key_id]


def issuer_of(key: PublicKey) -> object:
    """Return for which issuer a key of Microsoft signs, or the template of many; else ``None``.

    See https://learn.microsoft.com/en-us/entra/identity-platform/access-tokens#validate-the-issuer.
    """
    return key.get(_ISSUER)


async def fetch_key_set(fetcher: Fetcher, metadata: Metadata) -> KeySet:
    """Return the keys of a provider. Raises `FetchFailed`."""
    answer = await fetcher.get(metadata.jwks_uri)
    if not answer.is_ok:
        raise FetchFailed(f"{metadata.jwks_uri} has status {answer.status}")
    keys = answer.read(KeySetDocument).keys[:MAX_KEYS]
    return KeySet([key for each in keys if (key := _key(each))])


def _key(document: dict[str, Any]) -> PublicKey | None:
    """Return a key, or ``None`` if it is not one that can be used; others of the set may be."""
    try:
        with warnings.catch_warnings():
            # Of keys that are too short.
            warnings.simplefilter("error", SecurityWarning)
            key = JWKRegistry.import_key({name: document[name] for name in _MEMBERS & {*document}})
    except (JoseError, SecurityWarning, UnsupportedAlgorithm, ValueError, TypeError, KeyError):
        return None
    if isinstance(key, RSAKey) and not _is_quick(key.public_key):
        return None
    return key if isinstance(key, PublicKey) else None


def _is_quick(key: RSAPublicKey) -> bool:
    exponent = key.public_numbers().e
    return key.key_size <= _MAX_RSA_SIZE and exponent.bit_length() <= _MAX_RSA_EXPONENT_SIZE


def _is_for(algorithm: str, key: PublicKey) -> bool:
    try:
        JWSRegistry.algorithms[algorithm].check_key(key)
        key.check_key_op("verify")
    except JoseError:
        return False
    return True
