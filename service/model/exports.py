"""What is kept about a user, as they may have it (GDPR, articles 15 and 20)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from service.model.sessions import ProvenMethod
from service.model.users import User


class ExportedKey(Struct, frozen=True, kw_only=True):
    """A name by which the user logs in."""

    provider: Annotated[
        str,
        Meta(
            description="What kind of name it is: `username`, `email`, or another one that was "
            "imported."
        ),
    ]
    name: Annotated[str, Meta(description="The name, as it is displayed.")]
    has_password: Annotated[
        bool, Meta(description="Whether a password logs in with it. Only its hash is kept.")
    ]
    verified_at: Annotated[
        datetime | None, Meta(description="When the user verified the address; null if never.")
    ]
    created_at: Annotated[datetime, Meta(description="When it was added.")]


class ExportedIdentity(Struct, frozen=True, kw_only=True):
    """An account at an OpenID provider with which the user logs in."""

    issuer: Annotated[str, Meta(description="The provider's issuer identifier.")]
    subject: Annotated[str, Meta(description="What the provider calls its user.")]
    created_at: Annotated[datetime, Meta(description="When the account was linked.")]
    last_used_at: Annotated[
        datetime | None, Meta(description="When it last proved the user; null if it never did.")
    ]


class ExportedSession(Struct, frozen=True, kw_only=True):
    """A session that has not been deleted yet."""

    id: Annotated[UUID, Meta(description="The session's id.")]
    device_name: Annotated[str | None, Meta(description="The name that the client gave.")]
    user_agent: Annotated[str | None, Meta(description="`User-Agent` of the log-in.")]
    address: Annotated[str | None, Meta(description="IP address of the client at the log-in.")]
    methods: Annotated[
        list[ProvenMethod], Meta(description="How the user authenticated, oldest first.")
    ]
    created_at: Annotated[datetime, Meta(description="When the user logged in.")]
    renewed_at: Annotated[datetime, Meta(description="When it was opened or last renewed.")]
    ends_at: Annotated[datetime, Meta(description="When it ends, unless it is renewed.")]


class ExportedDevice(Struct, frozen=True, kw_only=True):
    """A device on which the user has logged in. Only the hash of its token is kept."""

    last_seen: Annotated[datetime, Meta(description="The last log-in on it.")]


class ExportedChallenge(Struct, frozen=True, kw_only=True):
    """A challenge: a code or a link that has not been used, or expired lately."""

    purpose: Annotated[
        str,
        Meta(
            description="What it is for: `email`, `reauthentication`, `password_reset`, `undo` or "
            "`second_factor`. Later versions may know further purposes."
        ),
    ]
    address: Annotated[
        str | None, Meta(description="The e-mail address that it would give the user.")
    ]
    created_at: Annotated[datetime, Meta(description="When it was made.")]
    expires_at: Annotated[datetime, Meta(description="When it expires.")]


class ExportedTOTP(Struct, frozen=True, kw_only=True):
    """The authenticator app of the user. Its secret is left out."""

    created_at: Annotated[datetime, Meta(description="When it was set up.")]
    confirmed_at: Annotated[
        datetime | None, Meta(description="When a code confirmed it; null if none did.")
    ]
    last_used_at: Annotated[datetime | None, Meta(description="When its last code was used.")]
    failures: Annotated[
        list[datetime], Meta(description="When a wrong code was typed lately, newest first.")
    ]


class ExportedPasskey(Struct, frozen=True, kw_only=True):
    """A passkey of the user. Its private key is on the user's devices only."""

    id: Annotated[UUID, Meta(description="The passkey's id.")]
    name: Annotated[str, Meta(description="The user's name for it.")]
    rp_id: Annotated[str, Meta(description="The domain that it belongs to.")]
    credential_id: Annotated[str, Meta(description="Its credential id, in base64url.")]
    aaguid: Annotated[
        UUID | None, Meta(description="The model of the authenticator, as it says itself.")
    ]
    transports: Annotated[list[str], Meta(description="How the browser reached the authenticator.")]
    sign_count: Annotated[int, Meta(description="How often it has signed, if it counts.")]
    backed_up: Annotated[
        bool, Meta(description="Whether it is on more than one device, or in a backup.")
    ]
    created_at: Annotated[datetime, Meta(description="When it was added.")]
    last_used_at: Annotated[datetime | None, Meta(description="When it last proved the user.")]


class AccountExport(Struct, frozen=True, kw_only=True):
    """Everything that is kept about a user, but for what opens their account."""

    exported_at: Annotated[datetime, Meta(description="The time of the export.")]
    user: Annotated[User, Meta(description="The user.")]
    keys: Annotated[
        list[ExportedKey], Meta(description="The names by which the user logs in, oldest first.")
    ]
    identities: Annotated[
        list[ExportedIdentity],
        Meta(description="The accounts at providers with which the user logs in, oldest first."),
    ]
    sessions: Annotated[list[ExportedSession], Meta(description="The sessions, newest first.")]
    devices: Annotated[list[ExportedDevice], Meta(description="Known devices, last used first.")]
    totp: Annotated[
        ExportedTOTP | UnsetType, Meta(description="The authenticator app, if there is one.")
    ] = UNSET
    passkeys: Annotated[list[ExportedPasskey], Meta(description="The passkeys, oldest first.")]
    recovery_codes_left: Annotated[
        int, Meta(description="How many recovery codes are left. Only their hashes are kept.")
    ]
    challenges: Annotated[
        list[ExportedChallenge],
        Meta(description="Codes and links that have not been used, newest first."),
    ]
