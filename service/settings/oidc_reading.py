"""Reads the OpenID providers from the environment."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from service.settings.apple_key import with_lines
from service.settings.oidc import AppleKey, OIDCProvider, OIDCSettings
from service.settings.oidc_mistakes import mistakes_in, shared_redirect_uris
from service.settings.oidc_presets import DEFAULT_SCOPES, PRESETS, Preset
from service.settings.oidc_values import TENANT_ID
from service.settings.oidc_variable_names import provider_names, provider_variables
from service.settings.oidc_variables import OIDC_PREFIX, ProviderVariables
from service.settings.variable import parse


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
            mistakes = dict(mistakes_in(values, preset, is_production=is_production))
        if mistakes:
            errors |= {f"{OIDC_PREFIX}{name}_{field}": text for field, text in mistakes.items()}
        else:
            providers[name.lower()] = _provider(name.lower(), values, preset)
    errors |= dict(shared_redirect_uris(providers))
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


def _provider(name: str, values: ProviderVariables, preset: Preset | None) -> OIDCProvider:
    """Return a provider whose variables have no mistake, with the defaults filled in."""
    known = PRESETS[preset] if preset else None
    issuer = str(values.issuer or (known and known.issuer))
    if len(values.tenants) == 1:
        issuer = issuer.replace(TENANT_ID, *values.tenants)
    key = None
    if values.team_id and values.key_id and values.private_key:
        pem = with_lines(values.private_key)
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
