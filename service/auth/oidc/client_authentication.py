"""How the client proves itself at a token endpoint (RFC 6749, section 2.3)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from time import time
from urllib.parse import quote_plus

from joserfc import jwt
from joserfc.jwk import ECKey
from msgspec import Struct

from service.auth.oidc.failures import ClientRefused
from service.settings.oidc import AppleKey, OIDCProvider

POST = "client_secret_post"
BASIC = "client_secret_basic"

# Seconds. Apple allows six months; a secret of this one exchange needs no more.
APPLE_SECRET_LIFETIME = 300


class ClientAuthentication(Struct, frozen=True, kw_only=True):
    """What is added to a form and to the headers. Its ``repr`` hides it."""

    form: dict[str, str]
    headers: dict[str, str] = {}

    def __repr__(self) -> str:
        return "ClientAuthentication(…)"


def authentication_of(
    provider: OIDCProvider, methods: Sequence[str] | None
) -> ClientAuthentication:
    """Return how a client authenticates, by one of the methods that the provider has.

    A provider that lists none has `client_secret_basic`. Where there is a choice it is
    `client_secret_post`: not all providers decode what is encoded in `client_secret_basic`. Raises
    `ClientRefused` if the provider has neither.
    """
    secret = _secret(provider)
    if secret is None:
        return ClientAuthentication(form={"client_id": provider.client_id})
    if methods is not None and POST in methods:
        form = {"client_id": provider.client_id, "client_secret": secret}
        return ClientAuthentication(form=form)
    if methods is not None and BASIC not in methods:
        raise ClientRefused("the provider knows no authentication by client secret")
    # RFC 6749, section 2.3.1, and appendix B.
    pair = f"{quote_plus(provider.client_id)}:{quote_plus(secret)}"
    credentials = b64encode(pair.encode()).decode()
    return ClientAuthentication(form={}, headers={"Authorization": f"Basic {credentials}"})


def _secret(provider: OIDCProvider) -> str | None:
    if provider.apple_key is not None:
        return _apple_secret(provider.apple_key, provider)
    return provider.client_secret


def _apple_secret(key: AppleKey, provider: OIDCProvider) -> str:
    """Return a client secret for Apple: a JWT, signed for this exchange.

    See https://developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret.
    """
    now = int(time())
    claims = {
        "iss": key.team_id,
        "iat": now,
        "exp": now + APPLE_SECRET_LIFETIME,
        "aud": provider.issuer,
        "sub": provider.client_id,
    }
    header = {"alg": "ES256", "kid": key.key_id}
    return jwt.encode(header, claims, ECKey.import_key(key.private_key))
