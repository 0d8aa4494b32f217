"""The format of exports: JSON Lines, a header and then a user in each line.

`docs/transfer.md` describes every member. Members that this version does not know are refused: it
would lose them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

NAME = "ostiary"
VERSION = 1

Moment = Annotated[datetime, Meta(tz=True)]
Bytes32 = Annotated[str, Meta(pattern="^[0-9a-f]{64}\\Z")]
Count = Annotated[int, Meta(ge=0, le=2**53)]


class Header(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line."""

    format: str
    version: int


class KeyRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name by which a user logs in, as it is shown."""

    provider: Annotated[str, Meta(min_length=1)]
    name: Annotated[str, Meta(min_length=1)]
    password_hash: str | None = None
    verified_at: Moment | None = None
    created_at: Moment | None = None


class IdentityRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account at an OpenID provider, by which a user logs in."""

    issuer: str
    subject: str
    created_at: Moment | None = None
    last_used_at: Moment | None = None


class TOTPRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A confirmed authenticator app. Without ``secret`` it is asked for, and no code is right."""

    confirmed_at: Moment
    created_at: Moment | None = None
    last_used_at: Moment | None = None
    last_step: Count = 0
    secret: str | UnsetType | None = UNSET


class PasskeyRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A passkey. Ids of credentials and public keys (COSE) are in base64url without padding."""

    id: str
    credential_id: str
    public_key: str
    rp_id: Annotated[str, Meta(min_length=1, max_length=253)]
    name: str
    sign_count: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    transports: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=16)] = []
    aaguid: str | None = None
    backup_eligible: bool = False
    backed_up: bool = False
    created_at: Moment | None = None
    last_used_at: Moment | None = None


class RecoveryCodeRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The SHA-256 of a recovery code, in hexadecimal."""

    hash: Bytes32
    created_at: Moment | None = None


class UserRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user. Only ``id`` has to be there."""

    id: Annotated[str, Meta(min_length=1, max_length=255)]
    created_at: Moment | None = None
    roles: list[str] = []
    metadata: Raw = Raw(b"{}")
    disabled_at: Moment | None = None
    disabled_reason: str | None = None
    keys: Annotated[list[KeyRow], Meta(max_length=100)] = []
    identities: Annotated[list[IdentityRow], Meta(max_length=100)] = []
    totp: TOTPRow | None = None
    passkeys: list[PasskeyRow] = []
    passkey_handle: str | None = None
    recovery_codes: Annotated[list[RecoveryCodeRow], Meta(max_length=100)] = []
    security_changed_at: Moment | None = None
    security_version: Count = 0
    version: Count = 0


def moment(time: datetime | None) -> str | None:
    """Return a time with six decimals, as everywhere in the service."""
    if time is None:
        return None
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def header() -> dict[str, Any]:
    """Return the first line of an export."""
    return {"format": NAME, "version": VERSION}
