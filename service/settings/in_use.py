"""The settings in use, for operators: secrets are hidden."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from service.settings import Settings
from service.settings.oidc import OIDCProvider
from service.settings.oidc_variable_names import provider_variables
from service.settings.secret_files import SUFFIX
from service.settings.service_links import service_links
from service.settings.variable import Variable, text_of
from service.settings.variables import variables

HIDDEN = "(hidden)"


class SettingInUse(Struct, frozen=True, kw_only=True):
    """A variable, its value as it would be written, and where that comes from."""

    name: str
    value: str
    source: str


def settings_in_use(settings: Settings, environment: Mapping[str, str]) -> list[SettingInUse]:
    """Return all settings, which were read from ``environment``."""
    computed: dict[str, object] = {
        "OSTIARY_WORKERS": settings.server.effective_workers,
        "OSTIARY_HASH_PROCESSES": settings.hash_processes,
        "OSTIARY_LOG_FORMAT": settings.log_format,
    }
    if relying_party := settings.passkey_rp:
        computed |= {
            "OSTIARY_PASSKEY_RP_ID": relying_party.id,
            "OSTIARY_PASSKEY_RP_NAME": relying_party.name,
            "OSTIARY_PASSKEY_ORIGINS": relying_party.origins,
        }
    links = service_links(environment)
    set_ = {name for name, text in environment.items() if text and name not in links}
    return [
        SettingInUse(
            name=each.name,
            value=_text(each, settings) or text_of(computed.get(each.name)),
            source=_source(each, set_),
        )
        for each in variables()
    ] + [
        SettingInUse(
            name=each.name, value=_provider_text(each, provider), source=_source(each, set_)
        )
        for provider in settings.oidc.providers.values()
        for each in provider_variables(provider.name.upper())
    ]


def _text(variable: Variable, settings: Settings) -> str:
    section = settings if variable.section is None else getattr(settings, variable.section)
    text = text_of(getattr(section, variable.field))
    return HIDDEN if text and variable.is_secret else text


def _provider_text(variable: Variable, provider: OIDCProvider) -> str:
    """Return the value of a provider's variable, with the default filled in."""
    of_apple = variable.field in {"team_id", "key_id", "private_key"}
    owner = provider.apple_key if of_apple else provider
    text = text_of(getattr(owner, variable.field)) if owner else ""
    return HIDDEN if text and variable.is_secret else text


def _source(variable: Variable, names: set[str]) -> str:
    if variable.name in names:
        return "environment"
    return variable.name + SUFFIX if variable.name + SUFFIX in names else "default"
