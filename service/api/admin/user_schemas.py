"""Users as programs see them: response bodies, and the fields that requests have too."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from service.auth.admin.disabled_reasons import MAX_LENGTH as MAX_REASON_LENGTH
from service.auth.admin.metadata import MAX_BYTES, MAX_DEPTH
from service.model.roles import FORM
from service.model.user_records import UserRecord

Roles = Annotated[
    list[str],
    Meta(
        description=f"The roles of the user. Each has {FORM}; duplicates count once, and the order "
        "is the alphabet's."
    ),
]
Metadata = Annotated[
    dict[str, Any],
    Meta(
        description=f"What the application keeps of the user: at most {MAX_BYTES} bytes of compact "
        f"JSON, at most {MAX_DEPTH} deep, no U+0000 and no numbers beyond 2^53."
    ),
]
Reason = Annotated[
    str,
    Meta(
        description="Why the user is disabled, for operators. The user does not see it.",
        min_length=1,
        max_length=MAX_REASON_LENGTH,
    ),
]


class AdministeredUser(Struct, frozen=True, kw_only=True):
    """A user as operators see them."""

    id: Annotated[UUID, Meta(description="The user's id; it never changes.")]
    username: Annotated[str | None, Meta(description="The user name, as displayed, if any.")]
    email: Annotated[str | None, Meta(description="The e-mail address, if any.")]
    email_verified_at: Annotated[
        datetime | None, Meta(description="When the user verified the address; null if never.")
    ]
    roles: Roles
    metadata: Metadata
    disabled: Annotated[bool, Meta(description="Whether the user is shut out.")]
    disabled_at: Annotated[datetime | None, Meta(description="Since when.")]
    disabled_reason: Annotated[str | None, Meta(description="Why, if that was said.")]
    created_at: Annotated[datetime, Meta(description="When the user was created.")]


class UserPage(Struct, frozen=True, kw_only=True):
    """Users. ``next`` is the ``cursor`` of the next page, if there is one."""

    users: Annotated[list[AdministeredUser], Meta(description="At most as many as were asked for.")]
    next: Annotated[
        str | None, Meta(description="`cursor` of the next page; null on the last one.")
    ]


def administered_user(found: UserRecord) -> AdministeredUser:
    """Return a user as they are shown."""
    return AdministeredUser(
        id=found.id,
        username=found.username,
        email=found.email,
        email_verified_at=found.email_verified_at,
        roles=found.roles,
        metadata=found.metadata,
        disabled=found.disabled_at is not None,
        disabled_at=found.disabled_at,
        disabled_reason=found.disabled_reason,
        created_at=found.created_at,
    )
