"""Patches: what is to be changed of a user, and what becomes of them."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from service.auth.admin.metadata import merged, require_metadata, require_storable
from service.auth.errors import FieldCode, FieldError, InvalidField, ValidationFailed
from service.auth.usernames import Username
from service.model.user_records import UserRecord

NOT_DISABLED = FieldError(
    field="disabled_reason",
    code=FieldCode.NOT_ALLOWED,
    message="Only a disabled user has a reason.",
)


class UserPatch(Struct, frozen=True, kw_only=True):
    """What is to be changed of a user. ``metadata`` is a merge patch (RFC 7396)."""

    disabled: bool | UnsetType = UNSET
    disabled_reason: str | UnsetType | None = UNSET
    roles: tuple[str, ...] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET
    username: Username | UnsetType = UNSET


def is_disabled_by(patch: UserPatch, present: UserRecord) -> bool:
    """Return whether a user is disabled after a change."""
    is_disabled = present.disabled_at is not None
    return is_disabled if isinstance(patch.disabled, UnsetType) else patch.disabled


def patched(present: UserRecord, patch: UserPatch) -> UserRecord:
    """Return a user as they are to be, but for the time at which they were disabled.

    Raises `ValidationFailed`.
    """
    is_disabled = is_disabled_by(patch, present)
    reason = present.disabled_reason if is_disabled else None
    if not isinstance(patch.disabled_reason, UnsetType):
        reason = patch.disabled_reason
    if reason is not None and not is_disabled:
        raise ValidationFailed([NOT_DISABLED])
    metadata = present.metadata
    if not isinstance(patch.metadata, UnsetType):
        try:
            require_storable(patch.metadata)
            metadata = merged(metadata, patch.metadata) or {}
            require_metadata(metadata)
        except InvalidField as error:
            raise ValidationFailed([error.of("metadata")]) from error
    return replace(
        present,
        disabled_reason=reason,
        roles=present.roles if isinstance(patch.roles, UnsetType) else [*patch.roles],
        metadata=metadata,
        username=present.username
        if isinstance(patch.username, UnsetType)
        else patch.username.display_name,
    )
