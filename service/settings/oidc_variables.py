"""The variables of OpenID providers: what they set, and what they mean."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from service.settings.oidc_presets import Preset
from service.settings.oidc_values import (
    SIGNATURE_ALGORITHMS,
    ClientIds,
    ProviderIssuer,
    Scopes,
    SignatureAlgorithms,
    Tenants,
)
from service.settings.redirect_uris import RedirectURIs
from service.settings.variable import PREFIX

OIDC_PREFIX = f"{PREFIX}OIDC_"

# The place of the name in the documents.
PLACEHOLDER = "<NAME>"


class ProviderVariables(Struct, frozen=True, kw_only=True):
    """What the variables of a provider set."""

    prefix: ClassVar[str] = f"OIDC_{PLACEHOLDER}_"

    preset: Annotated[
        Preset | None,
        Meta(
            description="`google`, `apple`, `microsoft`, `github` or `gitlab`: a provider whose "
            f"issuer and peculiarities are known. Default: `{PLACEHOLDER}`, if it is one of them "
            "and no issuer is set."
        ),
    ] = None
    issuer: Annotated[
        ProviderIssuer | None,
        Meta(
            description="The provider's issuer, character by character: the https URL below which "
            "`/.well-known/openid-configuration` is. Default: that of the preset. Identities are "
            "of an issuer: with another one they are lost."
        ),
    ] = None
    client_ids: Annotated[
        ClientIds,
        Meta(
            description="The client ids that the provider has given to the application. The first "
            "one is that of the authorization code flow, which the client secret belongs to; ID "
            "tokens that native apps get may be for any of them. Required."
        ),
    ] = ClientIds()
    client_secret: Annotated[
        str | None,
        Meta(
            description="The client secret. Without one the client is public, with PKCE.",
            extra={"secret": True},
        ),
    ] = None
    redirect_uris: Annotated[
        RedirectURIs,
        Meta(
            description="Redirect URIs of the application: pages of https; "
            "`http://127.0.0.1/…` and `http://[::1]/…`, on any port, and `http://localhost:…`; "
            "schemes of native apps with a dot in them, `com.example.app:/callback`. Two providers "
            "can share one only if both have `_SENDS_ISS`. Required."
        ),
    ] = RedirectURIs()
    trusted_as_second_factor: Annotated[
        bool,
        Meta(
            description="Whether users with a second factor are not asked for it after a log-in at "
            "this provider, since it asks for one itself."
        ),
    ] = False
    sends_iss: Annotated[
        bool,
        Meta(
            description="Whether the provider names itself in each answer, by `iss` (RFC 9207). An "
            "answer without it is then refused, as it is where the provider's configuration has "
            "`authorization_response_iss_parameter_supported`."
        ),
    ] = False
    scopes: Annotated[
        Scopes | None,
        Meta(
            description="The scopes that are asked for, separated by spaces. Default: "
            "`openid email profile`; `openid` for Apple; none (`-`) for GitHub."
        ),
    ] = None
    algorithms: Annotated[
        SignatureAlgorithms,
        Meta(description="The signature algorithms that ID tokens may have."),
    ] = SignatureAlgorithms(SIGNATURE_ALGORITHMS)
    tenants: Annotated[
        Tenants,
        Meta(
            description="Microsoft: the ids of the tenants whose users may log in. Default: any "
            "tenant, and personal accounts."
        ),
    ] = Tenants()
    team_id: Annotated[str | None, Meta(description="Apple: the team's id. Required.")] = None
    key_id: Annotated[
        str | None, Meta(description="Apple: the id of the private key. Required.")
    ] = None
    private_key: Annotated[
        str | None,
        Meta(
            description="Apple: the private key, as in the file `AuthKey_….p8`. Client secrets are "
            "signed by it, one for each log-in. Required.",
            extra={"secret": True},
        ),
    ] = None
