"""The claims of an ID token, checked (OpenID Connect Core, section 3.1.3.7)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from hmac import compare_digest
from time import time
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from service.auth.oidc.failures import ProofRefused
from service.model.identities import ProvenIdentity
from service.settings.oidc import OIDCProvider
from service.settings.oidc_presets import Preset
from service.settings.oidc_values import TENANT_ID

# Seconds by which the clock of a provider may differ, and after which a token is too old.
LEEWAY = 60
MAX_AGE = 600

# Characters of what a provider suggests.
MAX_SUGGESTION_LENGTH = 254

_YEAR_10000 = 253_402_300_800

# In whole seconds (RFC 7519, section 2).
Moment = Annotated[int, Meta(ge=0, lt=_YEAR_10000)]


class Claims(Struct, frozen=True, kw_only=True):
    """The claims that are used; the types of those that prove nothing are left open."""

    iss: str
    # Core, section 2.
    sub: Annotated[str, Meta(pattern=r"^[\x20-\x7e]{1,255}\Z")]
    aud: str | list[str]
    exp: Moment
    iat: Moment
    nonce: str
    azp: str | None = None
    nbf: Moment | None = None
    auth_time: Any = None
    tid: Any = None
    email: Any = None
    email_verified: Any = None
    name: Any = None


def proven_identity(
    payload: bytes,
    provider: OIDCProvider,
    *,
    key_issuer: object,
    nonce: str,
    client_ids: Collection[str],
) -> ProvenIdentity:
    """Return whose account the claims of an ID token prove, whose signature is verified.

    It must be for one of ``client_ids``, and for no other clients than those of the provider.
    ``key_issuer`` is for which issuer the key signs, where Microsoft says so.
    Raises `ProofRefused`.
    """
    try:
        claims = msgspec.json.decode(payload, type=Claims)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProofRefused(f"its claims cannot be used: {error}") from None
    _require_issuer(claims, provider)
    if TENANT_ID in provider.issuer:
        _require_tenant(claims, provider.issuer, key_issuer)
    _require_audience(claims, provider, client_ids)
    now = time()
    _require_time(claims, now)
    if not compare_digest(claims.nonce.encode(), nonce.encode()):
        raise ProofRefused("the nonce is not that of the flow")
    return ProvenIdentity(
        issuer=_canonical(claims.iss, provider),
        subject=claims.sub,
        email=suggestion(claims.email),
        # Apple may send it as a text.
        is_email_verified=claims.email_verified is True or claims.email_verified == "true",
        name=suggestion(claims.name),
        auth_time=_auth_time(claims.auth_time, now),
    )


def suggestion(value: object) -> str | None:
    """Return a text that a provider suggests, or ``None`` if it is none that could be shown."""
    if not isinstance(value, str) or not value.isprintable():
        return None
    return value if 0 < len(value) <= MAX_SUGGESTION_LENGTH else None


def _canonical(issuer: str, provider: OIDCProvider) -> str:
    """Return the issuer as identities have it: Google's may come without its scheme."""
    _, _, bare = provider.issuer.partition("://")
    return provider.issuer if provider.preset is Preset.GOOGLE and issuer == bare else issuer


def _require_issuer(claims: Claims, provider: OIDCProvider) -> None:
    """Raise `ProofRefused` for another issuer."""
    if not provider.issues(_canonical(claims.iss, provider)):
        raise ProofRefused("the issuer is another one")


def _require_tenant(claims: Claims, template: str, key_issuer: object) -> None:
    """Raise `ProofRefused` unless an issuer of Microsoft is that of the user's tenant.

    It must also be that of the key, which may be for one tenant only.
    """
    tenant = str(claims.tid)
    if claims.iss != template.replace(TENANT_ID, tenant):
        raise ProofRefused("the tenant is not that of the issuer")
    if key_issuer is not None and claims.iss != str(key_issuer).replace(TENANT_ID, tenant):
        raise ProofRefused("it is signed by a key for another tenant")


def _require_audience(claims: Claims, provider: OIDCProvider, client_ids: Collection[str]) -> None:
    audience = {claims.aud} if isinstance(claims.aud, str) else {*claims.aud}
    if not audience & {*client_ids} or not audience <= {*provider.client_ids}:
        raise ProofRefused("it is for another client")
    if claims.azp is None and len(audience) > 1:
        raise ProofRefused("it does not tell which of several clients it was issued to")
    if claims.azp is not None and claims.azp not in client_ids:
        raise ProofRefused("it was issued to another client")


def _require_time(claims: Claims, now: float) -> None:
    if claims.exp <= now - LEEWAY:
        raise ProofRefused("it has expired")
    if claims.iat > now + LEEWAY or (claims.nbf or 0) > now + LEEWAY:
        raise ProofRefused("it is not valid yet: compare the clocks")
    if claims.iat < now - MAX_AGE:
        raise ProofRefused("it is too old")


def _auth_time(value: object, now: float) -> datetime | None:
    """Return when the provider has authenticated its user, which is never later than now."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= now + LEEWAY:
        return None
    return datetime.fromtimestamp(min(value, now), UTC)
