"""OpenID providers at which users log in."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from service.settings.oidc_presets import WITHOUT_AUTH_TIME, Preset
from service.settings.oidc_values import TENANT_ID, is_tenant_id
from service.settings.redirect_uris import RedirectURIs


class AppleKey(Struct, frozen=True, kw_only=True):
    """The key by which client secrets for Apple are signed. Its ``repr`` hides it."""

    team_id: str
    key_id: str
    private_key: str

    def __repr__(self) -> str:
        return f"AppleKey({self.key_id})"


class OIDCProvider(Struct, frozen=True, kw_only=True):
    """A provider, with all defaults filled in. Its ``repr`` hides its secrets.

    ``client_ids``: the first one is that of the authorization code flow, all are audiences of the
    ID tokens that native apps get. ``issuer`` of Microsoft is a template, unless there is one
    tenant. Without ``client_secret`` and ``apple_key`` the client is public.
    """

    name: str
    preset: Preset | None = None
    issuer: str
    client_ids: tuple[str, ...]
    client_secret: str | None = None
    apple_key: AppleKey | None = None
    redirect_uris: RedirectURIs
    trusted_as_second_factor: bool = False
    sends_iss: bool = False
    scopes: tuple[str, ...]
    algorithms: tuple[str, ...]
    tenants: frozenset[str] = frozenset()

    @property
    def client_id(self) -> str:
        """The client id of the authorization code flow."""
        return self.client_ids[0]

    @property
    def gives_auth_time(self) -> bool:
        """Whether it tells when it has authenticated its user, where that is asked for."""
        return self.preset not in WITHOUT_AUTH_TIME

    @property
    def has_id_tokens(self) -> bool:
        """Whether it issues ID tokens; GitHub tells who a user is by an API of its own."""
        return self.preset is not Preset.GITHUB

    def issues(self, issuer: str) -> bool:
        """Return whether accounts of an issuer, as identities have it, are those of the provider.

        Microsoft's are of an issuer for each tenant.
        """
        if TENANT_ID not in self.issuer:
            return issuer == self.issuer
        before, _, after = self.issuer.partition(TENANT_ID)
        tenant = issuer.removeprefix(before).removesuffix(after)
        return (
            issuer == before + tenant + after
            and is_tenant_id(tenant)
            and (not self.tenants or tenant in self.tenants)
        )

    def __repr__(self) -> str:
        return f"OIDCProvider({self.name})"


class OIDCSettings(Struct, frozen=True, kw_only=True):
    """The providers by their names."""

    providers: Mapping[str, OIDCProvider] = {}
