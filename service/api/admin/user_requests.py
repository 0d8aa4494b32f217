"""Request bodies of the endpoints of users, for other programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from service.api.admin.user_schemas import Metadata, Reason, Roles
from service.api.http.json_body import Body
from service.auth.admin.disabled_reasons import require_reason
from service.auth.admin.metadata import require_metadata, require_storable
from service.auth.admin.new_users import NewUser
from service.auth.admin.patches import UserPatch
from service.auth.email_addresses import EmailAddress
from service.auth.errors import FieldCode, FieldError, InvalidField
from service.auth.passwords import NewPassword
from service.auth.roles import parse_roles
from service.auth.usernames import GivenUsername


class CreateUserRequest(Body, frozen=True, kw_only=True):
    """Request body of POST /admin/users."""

    username: GivenUsername | UnsetType = UNSET
    email: EmailAddress | UnsetType = UNSET
    email_verified: Annotated[
        bool | UnsetType,
        Meta(
            description="Whether the user is known to receive mail at the address. One that is not "
            "verified logs in, but no link to reset the password goes to it."
        ),
    ] = UNSET
    password: NewPassword | UnsetType = UNSET
    password_hash: Annotated[
        str | UnsetType,
        Meta(description="In place of a password: its hash, of a scheme that is verified."),
    ] = UNSET
    roles: Roles | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    disabled: Annotated[
        bool | UnsetType, Meta(description="Whether the user begins as disabled.")
    ] = UNSET
    disabled_reason: Reason | UnsetType = UNSET

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> list[FieldError]:
        """Return the errors of fields that do not go together, of roles and of metadata."""
        errors = errors_of_details(values)
        given = {name for name, value in values.items() if value is not UNSET}
        if not given & {"username", "email"} and {"username", "email"} <= values.keys():
            message = "A user name or an e-mail address is required."
            errors.append(FieldError(field="username", code=FieldCode.REQUIRED, message=message))
        if given >= {"password", "password_hash"}:
            message = "There must be a password or a hash, not both."
            errors.append(_not_allowed("password_hash", message))
        if values.get("email_verified") and values.get("email") is UNSET:
            errors.append(_not_allowed("email_verified", "There is no address."))
        if "disabled_reason" in given and values.get("disabled") is not True:
            errors.append(_not_allowed("disabled_reason", "Only a disabled user has a reason."))
        return errors

    @property
    def new_user(self) -> NewUser:
        """The user to be created."""
        return NewUser(
            username=self.username or None,
            address=self.email or None,
            is_address_verified=self.email_verified is True,
            password=self.password or None,
            password_hash=None if isinstance(self.password_hash, UnsetType) else self.password_hash,
            roles=parse_roles(self.roles or ()),
            metadata=self.metadata or {},
            is_disabled=self.disabled is True,
            disabled_reason=self.disabled_reason or None,
        )


class ChangeUserRequest(Body, frozen=True, kw_only=True):
    """Request body of PATCH /admin/users/{id}: a merge patch (RFC 7396)."""

    disabled: Annotated[
        bool | UnsetType, Meta(description="Whether the user is shut out, until enabled again.")
    ] = UNSET
    disabled_reason: Annotated[
        Reason | UnsetType | None,
        Meta(description="Why, for operators; null removes it, and so does enabling."),
    ] = UNSET
    roles: Annotated[Roles | UnsetType, Meta(description="All roles that are to be.")] = UNSET
    metadata: Annotated[
        dict[str, Any] | UnsetType | None,
        Meta(
            description="What is to be changed of the metadata: objects are merged, null removes a "
            "member, anything else is replaced. Null in place of all empties it."
        ),
    ] = UNSET
    username: GivenUsername | UnsetType = UNSET

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> list[FieldError]:
        """Return the errors of roles and metadata."""
        return errors_of_details(values, is_patch=True)

    @property
    def patch(self) -> UserPatch:
        """What is to be changed."""
        return UserPatch(
            disabled=self.disabled,
            disabled_reason=self.disabled_reason,
            roles=UNSET if isinstance(self.roles, UnsetType) else parse_roles(self.roles),
            metadata=self.metadata,
            username=self.username,
        )

    @property
    def has_roles(self) -> bool:
        """Whether roles are to be changed."""
        return not isinstance(self.roles, UnsetType)


def errors_of_details(values: Mapping[str, Any], *, is_patch: bool = False) -> list[FieldError]:
    """Return the errors of roles, metadata and the reason, where they are given.

    Of a patch of the metadata only what comes of it has a size.
    """
    checks = {
        "roles": parse_roles,
        "metadata": require_storable if is_patch else require_metadata,
        "disabled_reason": require_reason,
    }
    errors = []
    for name, check in checks.items():
        value = values.get(name, UNSET)
        if value is UNSET or value is None:
            continue
        try:
            check(value)
        except InvalidField as error:
            errors.append(error.of(name))
    return errors


def _not_allowed(field: str, message: str) -> FieldError:
    return FieldError(field=field, code=FieldCode.NOT_ALLOWED, message=message)
