"""Mistakes in the settings of OpenID providers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

from service.settings.apple_key import is_p256, with_lines
from service.settings.oidc import OIDCProvider
from service.settings.oidc_presets import PRESETS, Preset
from service.settings.oidc_values import TENANT_ID
from service.settings.oidc_variables import OIDC_PREFIX, ProviderVariables
from service.settings.redirect_uris import normal_form

# Of the fields, those that only one preset has.
_OF_ONE_PRESET = {
    "tenants": Preset.MICROSOFT,
    "team_id": Preset.APPLE,
    "key_id": Preset.APPLE,
    "private_key": Preset.APPLE,
}


def mistakes_in(
    values: ProviderVariables, preset: Preset | None, *, is_production: bool
) -> Iterator[tuple[str, str]]:
    """Find what is missing, contradicts, or cannot be; named after one of the variables."""
    issuer = values.issuer or (PRESETS[preset].issuer if preset else None)
    if issuer is None:
        yield "ISSUER", f"required, or a preset: {', '.join(Preset)}"
    elif is_production and not issuer.is_secure:
        yield "ISSUER", "must begin with https:// in production"
    elif TENANT_ID in issuer and preset is not Preset.MICROSOFT:
        yield "ISSUER", f"{TENANT_ID} is of Microsoft's issuer: set the preset `microsoft`"
    elif values.tenants and TENANT_ID not in issuer:
        yield "TENANTS", f"has no effect on an issuer without {TENANT_ID}"
    if not values.client_ids:
        yield "CLIENT_IDS", "required"
    if not values.redirect_uris:
        yield "REDIRECT_URIS", "required"
    for field, owner in _OF_ONE_PRESET.items():
        if getattr(values, field) and preset is not owner:
            yield field.upper(), f"has no effect without the preset `{owner}`"
    yield from _mistakes_of_scopes(values, preset)
    yield from _mistakes_of_secrets(values, preset)


def shared_redirect_uris(providers: Mapping[str, OIDCProvider]) -> Iterator[tuple[str, str]]:
    """Find redirect URIs at which it would not be known which provider has answered.

    A provider could have the code of another one given to it (RFC 9700, section 4.4).
    """
    for one, other in combinations(providers.values(), 2):
        theirs = {normal_form(uri): uri for uri in one.redirect_uris}
        shared = [uri for uri in other.redirect_uris if normal_form(uri) in theirs]
        if shared and not (one.sends_iss and other.sends_iss):
            first, second = (f"{OIDC_PREFIX}{each.name.upper()}" for each in (one, other))
            uri = min(shared)
            same = theirs[normal_form(uri)]
            mistake = (
                f"{uri} is in {first}_REDIRECT_URIS, too{'' if same == uri else f' ({same})'}: "
                "use another, or, if both name themselves in their answers, set "
                f"{first}_SENDS_ISS and {second}_SENDS_ISS"
            )
            yield f"{second}_REDIRECT_URIS", mistake


def _mistakes_of_scopes(
    values: ProviderVariables, preset: Preset | None
) -> Iterator[tuple[str, str]]:
    if values.scopes is None:
        return
    if preset is Preset.APPLE and {"name", "email"} & {*values.scopes}:
        yield "SCOPES", "with `name` or `email` Apple answers by a form, which no page can receive"
    elif preset is not Preset.GITHUB and "openid" not in values.scopes:
        yield "SCOPES", "must have `openid` in them"


def _mistakes_of_secrets(
    values: ProviderVariables, preset: Preset | None
) -> Iterator[tuple[str, str]]:
    if preset is Preset.GITHUB and not values.client_secret:
        yield "CLIENT_SECRET", "required: GitHub has no public clients"
    if preset is not Preset.APPLE:
        return
    if values.client_secret:
        yield "CLIENT_SECRET", "is made of the private key for Apple: leave it out"
    for field in ("team_id", "key_id", "private_key"):
        if not getattr(values, field):
            yield field.upper(), "required for Apple"
    if values.private_key and not is_p256(with_lines(values.private_key)):
        yield (
            "PRIVATE_KEY",
            "must be the content of Apple's file AuthKey_….p8: a private key of P-256 in PEM",
        )
