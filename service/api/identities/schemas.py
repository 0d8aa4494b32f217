"""Request and response bodies of flows at OpenID providers, and of identities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from service.api.factors.answers import missing
from service.api.http.json_body import Body, OpenBody
from service.api.schemas import (
    UNNAMED_DEVICE,
    PresentedDeviceToken,
    PresentedInvitation,
)
from service.auth.device_names import DeviceName
from service.auth.errors import FieldCode, FieldError
from service.auth.identities.flow_secrets import FlowClient, FlowSecret
from service.auth.identities.flow_states import IssuedFlow
from service.auth.identities.flows import Callback, ReturnedToken
from service.auth.usernames import Username
from service.model.identities import Identity
from service.model.sessions import Transport

# A page takes the answer of a provider from its address, which anybody can write: what binds a flow
# must not be in it, or a link would log whoever follows it in as somebody else (RFC 9700, 4.7).
SECRET_WITH_COOKIE = FieldError(
    field="transport",
    code=FieldCode.NOT_ALLOWED,
    message="With `flow_secret` it is `bearer`: a browser completes its flows by its cookie.",
)


# Text that is the state of no flow, or no flow secret, is that of an unknown flow.
FlowState = Annotated[str, Meta(description="`state`, as the provider has returned it.")]
HeldSecret = Annotated[
    str,
    Meta(
        description="`flow_secret` of the response that began the flow, for the client `native`, "
        "whose sessions have the transport `bearer`. A browser sends its cookie."
    ),
]


class BeginFlowRequest(Body, frozen=True, kw_only=True):
    """Request body of POST /login/oidc/{provider}, and of the beginning of other flows."""

    redirect_uri: Annotated[
        str,
        Meta(
            description="Where the provider sends the user back to: one of "
            "`OSTIARY_OIDC_<NAME>_REDIRECT_URIS`, to the character; of `http://127.0.0.1` and "
            "`http://[::1]` with any port."
        ),
    ]
    client: Annotated[
        FlowClient | UnsetType,
        Meta(
            description="What completes the flow: `browser`, unless said otherwise, by a cookie; "
            "or `native`, an app, by `flow_secret`."
        ),
    ] = UNSET


class CallbackRequest(OpenBody, frozen=True, kw_only=True):
    """Request body of the callback of a flow: the parameters of the redirect, as they are."""

    state: FlowState
    code: Annotated[str, Meta(description="`code`, as the provider has returned it.")] = ""
    iss: Annotated[
        str | UnsetType,
        Meta(description="`iss`, if the provider has returned it (RFC 9207)."),
    ] = UNSET
    error: Annotated[
        str, Meta(description="`error`, if the provider has returned it in place of a code.")
    ] = ""
    flow_secret: HeldSecret = ""

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> list[FieldError]:
        """Return an error if there is neither a code nor an error."""
        return [] if values.get("error") else missing(values, "code")

    @property
    def answer(self) -> Callback:
        """What the provider has answered."""
        return Callback(
            state=self.state,
            code=self.code,
            iss=None if self.iss is UNSET else self.iss,
            error=self.error,
        )


class LogInCallbackRequest(CallbackRequest, frozen=True, kw_only=True):
    """Request body of POST /login/oidc/{provider}/callback."""

    transport: Transport = Transport.COOKIE
    device_name: DeviceName = UNNAMED_DEVICE
    device_token: PresentedDeviceToken = ""

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> list[FieldError]:
        """Return an error if there is no answer, or a flow secret would set a cookie."""
        return super().check(values) + _errors_of_transport(values)


class IdTokenRequest(Body, frozen=True, kw_only=True):
    """Request body of POST /login/oidc/{provider}/id-token."""

    id_token: Annotated[
        str,
        Meta(
            description="The ID token that the provider's SDK has returned. Its `nonce` has to be "
            "that of the response that began the flow."
        ),
    ]
    state: Annotated[str, Meta(description="`state` of the response that began the flow.")]
    flow_secret: HeldSecret = ""
    transport: Transport = Transport.COOKIE
    device_name: DeviceName = UNNAMED_DEVICE
    device_token: PresentedDeviceToken = ""

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> list[FieldError]:
        """Return an error if a flow secret would set a cookie."""
        return _errors_of_transport(values)

    @property
    def answer(self) -> ReturnedToken:
        """What the provider has answered."""
        return ReturnedToken(state=self.state, id_token=self.id_token)


class SignUpByIdentityRequest(Body, frozen=True, kw_only=True):
    """Request body of POST /signup/oidc."""

    challenge_token: Annotated[
        str, Meta(description="`challenge_token` of the problem `sign_up_needed`.")
    ]
    username: Username | UnsetType = UNSET
    invitation: PresentedInvitation = ""
    transport: Transport = Transport.COOKIE
    device_name: DeviceName = UNNAMED_DEVICE
    device_token: PresentedDeviceToken = ""


def _errors_of_transport(values: Mapping[str, Any]) -> list[FieldError]:
    sets_cookie = values.get("transport") is Transport.COOKIE
    return [SECRET_WITH_COOKIE] if sets_cookie and values.get("flow_secret") else []


class BegunFlow(Struct, frozen=True, kw_only=True):
    """A flow at a provider."""

    authorization_url: Annotated[
        str, Meta(description="Open it: in the window of the page, or in the browser of the app.")
    ]
    state: Annotated[
        str, Meta(description="What the provider returns, so that the app knows its flow.")
    ]
    nonce: Annotated[
        str,
        Meta(
            description="For the SDK of a provider, which puts it into the ID token. An app that "
            "opens `authorization_url` does not need it."
        ),
    ]
    expires_at: Annotated[datetime, Meta(description="Until when the flow can be completed.")]
    flow_secret: Annotated[
        str | UnsetType,
        Meta(description="For the client `native`: keep it, and send it with the answer."),
    ] = UNSET

    def __repr__(self) -> str:
        return "BegunFlow(…)"


class IdentityInfo(Struct, frozen=True, kw_only=True):
    """An account at a provider with which the user logs in."""

    id: Annotated[UUID, Meta(description="The identity's id.")]
    provider: Annotated[
        str | None,
        Meta(
            description="The provider's name in the settings; null if it is no longer there, so "
            "that the account logs nobody in."
        ),
    ]
    issuer: Annotated[str, Meta(description="The provider's issuer identifier.")]
    subject: Annotated[
        str, Meta(description="What the provider calls its user. It means nothing elsewhere.")
    ]
    created_at: Annotated[datetime, Meta(description="When the account was linked.")]
    last_used_at: Annotated[
        datetime | None,
        Meta(description="When it last proved the user; null if it never did."),
    ]


class IdentityList(Struct, frozen=True, kw_only=True):
    """The identities of the user."""

    identities: Annotated[list[IdentityInfo], Meta(description="Oldest first.")]


def begun_flow(issued: IssuedFlow, authorization_url: str, secret: FlowSecret) -> BegunFlow:
    """Return the response body for a flow; its secret is shown to native apps only."""
    return BegunFlow(
        authorization_url=authorization_url,
        state=issued.flow.state,
        nonce=issued.flow.nonce,
        expires_at=issued.expires_at,
        flow_secret=secret.text if secret.client is FlowClient.NATIVE else UNSET,
    )


def identity_info(identity: Identity, provider_names: Sequence[str]) -> IdentityInfo:
    """Return an identity as it is shown; of several names of its issuer the first one."""
    return IdentityInfo(
        id=identity.id,
        provider=next(iter(provider_names), None),
        issuer=identity.issuer,
        subject=identity.subject,
        created_at=identity.created_at,
        last_used_at=identity.last_used_at,
    )
