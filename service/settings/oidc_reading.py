"""Reads the OpenID providers from the environment, and finds mistakes in their settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import msgspec

from service.settings.oidc import AppleKey, OIDCProvider, OIDCSettings
from service.settings.oidc_presets import DEFAULT_SCOPES, PRESETS, Preset
from service.settings.oidc_values import TENANT_ID
from service.settings.oidc_variables import (
    OIDC_PREFIX,
    ProviderVariables,
    provider_names,
    provider_variables,
)
from service.settings.variable import parse

# Of the fields, those that only one preset has.
_OF_ONE_PRESET = {
    "tenants": Preset.MICROSOFT,
    "team_id": Preset.APPLE,
    "key_id": Preset.APPLE,
    "private_key": Preset.APPLE,
}


def read_providers(
    environment: Mapping[str, str], *, is_production: bool
) -> tuple[OIDCSettings, dict[str, str]]:
    """Return the providers whose settings have no mistake, and the mistakes by variable."""
    providers: dict[str, OIDCProvider] = {}
    errors: dict[str, str] = {}
    set_ = [name for name, text in environment.items() if text]
    for name in provider_names(set_):
        values, mistakes = _convert(name, environment)
        if not mistakes:
            preset = _preset_of(name, values)
            mistakes = dict(_mistakes(values, preset, is_production=is_production))
        if mistakes:
            errors |= {f"{OIDC_PREFIX}{name}_{field}": text for field, text in mistakes.items()}
        else:
            providers[name.lower()] = _provider(name.lower(), values, preset)
    errors |= dict(_shared_redirect_uris(providers))
    return OIDCSettings(providers=providers), errors


def _convert(name: str, environment: Mapping[str, str]) -> tuple[ProviderVariables, dict[str, str]]:
    values, mistakes = {}, {}
    for each in provider_variables(name):
        if text := environment.get(each.name):
            try:
                values[each.field] = parse(each.type, text)
            except ValueError as error:
                mistakes[each.field.upper()] = str(error)
    return msgspec.structs.replace(ProviderVariables(), **values), mistakes


def _preset_of(name: str, values: ProviderVariables) -> Preset | None:
    if values.preset is None and values.issuer is None and name.lower() in set(Preset):
        return Preset(name.lower())
    return values.preset


def _mistakes(
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
        yield "CLIENT_SECRET", "is made of OSTIARY_OIDC_…_PRIVATE_KEY for Apple: leave it out"
    for field in ("team_id", "key_id", "private_key"):
        if not getattr(values, field):
            yield field.upper(), "required for Apple"
    if values.private_key and not _is_p256(_pem(values.private_key)):
        yield (
            "PRIVATE_KEY",
            "must be the content of Apple's file AuthKey_….p8: a private key of P-256 in PEM",
        )


def _provider(name: str, values: ProviderVariables, preset: Preset | None) -> OIDCProvider:
    """Return a provider whose variables have no mistake, with the defaults filled in."""
    known = PRESETS[preset] if preset else None
    issuer = str(values.issuer or (known and known.issuer))
    if len(values.tenants) == 1:
        issuer = issuer.replace(TENANT_ID, *values.tenants)
    key = None
    if values.team_id and values.key_id and values.private_key:
        pem = _pem(values.private_key)
        key = AppleKey(team_id=values.team_id, key_id=values.key_id, private_key=pem)
    scopes = values.scopes
    if scopes is None:
        scopes = known.scopes if known else DEFAULT_SCOPES
    return OIDCProvider(
        name=name,
        preset=preset,
        issuer=issuer,
        client_ids=values.client_ids,
        client_secret=values.client_secret,
        apple_key=key,
        redirect_uris=values.redirect_uris,
        trusted_as_second_factor=values.trusted_as_second_factor,
        sends_iss=values.sends_iss,
        scopes=scopes,
        algorithms=values.algorithms,
        tenants=values.tenants,
    )


def _shared_redirect_uris(providers: Mapping[str, OIDCProvider]) -> Iterator[tuple[str, str]]:
    """Find redirect URIs at which it would not be known which provider has answered.

    A provider could have the code of another one given to it (RFC 9700, section 4.4).
    """
    for one, other in combinations(providers.values(), 2):
        shared = one.redirect_uris & other.redirect_uris
        if shared and not (one.sends_iss and other.sends_iss):
            names = [f"{OIDC_PREFIX}{each.name.upper()}" for each in (one, other)]
            both = " and ".join(f"{name}_SENDS_ISS" for name in names)
            mistake = f"{min(shared)} is one of {one.name}, too: use another, or set {both}"
            yield f"{names[1]}_REDIRECT_URIS", mistake


def _pem(text: str) -> str:
    """Return a key with its lines; some write a newline in a variable as a backslash and `n`."""
    return text.replace("\\n", "\n")


def _is_p256(pem: str) -> bool:
    # Few have a provider that needs it, and each command reads the settings.
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ec import (  # noqa: PLC0415
        SECP256R1,
        EllipticCurvePrivateKey,
    )
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_private_key,
    )

    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1)
