"""Providers whose settings are known, since they are the same for everybody."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from service.settings.oidc_values import TENANT_ID, ProviderIssuer, Scopes


class Preset(StrEnum):
    """A provider whose issuer, scopes and peculiarities are known."""

    GOOGLE = "google"
    APPLE = "apple"
    MICROSOFT = "microsoft"
    GITHUB = "github"
    GITLAB = "gitlab"


class PresetValues(Struct, frozen=True, kw_only=True):
    """What a preset sets where the variables do not."""

    issuer: ProviderIssuer
    scopes: Scopes


DEFAULT_SCOPES = Scopes(("openid", "email", "profile"))

PRESETS = {
    Preset.GOOGLE: PresetValues(
        issuer=ProviderIssuer("https://accounts.google.com"), scopes=DEFAULT_SCOPES
    ),
    # With the scopes of name and e-mail address, Apple answers by a form that only a server can
    # receive (`form_post`).
    Preset.APPLE: PresetValues(
        issuer=ProviderIssuer("https://appleid.apple.com"), scopes=Scopes(("openid",))
    ),
    Preset.MICROSOFT: PresetValues(
        issuer=ProviderIssuer(f"https://login.microsoftonline.com/{TENANT_ID}/v2.0"),
        scopes=DEFAULT_SCOPES,
    ),
    # Who a user is, GitHub tells without any scope.
    Preset.GITHUB: PresetValues(issuer=ProviderIssuer("https://github.com"), scopes=Scopes()),
    Preset.GITLAB: PresetValues(issuer=ProviderIssuer("https://gitlab.com"), scopes=DEFAULT_SCOPES),
}

# Those that do not tell when they have authenticated their user.
WITHOUT_AUTH_TIME = {Preset.GOOGLE, Preset.GITHUB, Preset.MICROSOFT}
