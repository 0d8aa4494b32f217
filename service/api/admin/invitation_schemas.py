"""Request and response bodies of the endpoints of invitations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from service.api.http.json_body import Body
from service.auth.admin.invitations import (
    LIFETIME,
    MAX_LIFETIME,
    MIN_LIFETIME,
    MadeInvitation,
    NewInvitation,
)
from service.auth.email_addresses import EmailAddress
from service.auth.errors import FieldError, InvalidField
from service.auth.roles import parse_roles
from service.model.invitations import Invitation
from service.model.roles import FORM

Roles = Annotated[
    list[str],
    Meta(description=f"The roles that the user will have. Each has {FORM}."),
]

ExpiresIn = Annotated[
    int,
    Meta(
        description="How long the invitation is valid, in seconds; 604800, 7 days, unless said "
        "otherwise.",
        ge=MIN_LIFETIME,
        le=MAX_LIFETIME,
    ),
]


class CreateInvitationRequest(Body, frozen=True, kw_only=True):
    """Request body of POST /admin/invitations."""

    email: EmailAddress | UnsetType = UNSET
    roles: Roles | UnsetType = UNSET
    expires_in: ExpiresIn | UnsetType = UNSET

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> list[FieldError]:
        """Return an error if what is given as roles is none."""
        try:
            parse_roles(values.get("roles") or [])
        except InvalidField as error:
            return [error.of("roles")]
        return []

    @property
    def invitation(self) -> NewInvitation:
        """The invitation to be made."""
        return NewInvitation(
            address=None if self.email is UNSET else self.email,
            roles=() if self.roles is UNSET else parse_roles(self.roles),
            lifetime=LIFETIME if self.expires_in is UNSET else self.expires_in,
        )


class InvitationInfo(Struct, frozen=True, kw_only=True):
    """An outstanding invitation."""

    id: Annotated[UUID, Meta(description="The id of the invitation, which opens nothing.")]
    email: Annotated[
        str | None,
        Meta(description="The only address that can sign up with it; null if it is for anybody."),
    ]
    roles: Roles
    service_token_id: Annotated[
        UUID | None,
        Meta(description="The service token that made it; null if an operator did."),
    ]
    created_at: Annotated[datetime, Meta(description="When it was made.")]
    expires_at: Annotated[datetime, Meta(description="When it expires.")]


class InvitationPage(Struct, frozen=True, kw_only=True):
    """Invitations, newest first. ``next`` is the ``cursor`` of the next page, if there is one."""

    invitations: Annotated[list[InvitationInfo], Meta(description="At most 100 invitations.")]
    next: Annotated[
        str | None, Meta(description="`cursor` of the next page; null on the last one.")
    ]


class CreatedInvitation(Struct, frozen=True, kw_only=True):
    """An invitation that was made just now."""

    invitation: Annotated[InvitationInfo, Meta(description="The invitation.")]
    mailed: Annotated[
        bool, Meta(description="Whether its link is mailed to the address; then it is not here.")
    ]
    token: Annotated[
        str | UnsetType,
        Meta(
            description="Unless it is mailed: what a sign-up sends as `invitation`. It is not "
            "shown again."
        ),
    ] = UNSET
    link: Annotated[
        str | UnsetType,
        Meta(
            description="Unless it is mailed: the page of `OSTIARY_INVITATION_URL`, if it is set."
        ),
    ] = UNSET


def invitation_info(invitation: Invitation) -> InvitationInfo:
    """Return an invitation as it is shown."""
    return InvitationInfo(
        id=invitation.id,
        email=invitation.display_address,
        roles=invitation.roles,
        service_token_id=invitation.service_token_id,
        created_at=invitation.created_at,
        expires_at=invitation.expires_at,
    )


def created_invitation(made: MadeInvitation) -> CreatedInvitation:
    """Return the response body for an invitation that was made just now."""
    return CreatedInvitation(
        invitation=invitation_info(made.invitation),
        mailed=made.token is None,
        token=UNSET if made.token is None else made.token,
        link=UNSET if made.link is None else made.link,
    )
