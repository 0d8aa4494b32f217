"""Whole users, as they are loaded."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class LoadedKey(Struct, frozen=True, kw_only=True):
    """A key; by ``id`` a later import knows it."""

    id: UUID
    provider: str
    name: str
    user_id: UUID
    display_name: str
    password_hash: str | None
    password_scheme: str | None
    verified_at: datetime | None
    created_at: datetime | None


class LoadedIdentity(Struct, frozen=True, kw_only=True):
    """An identity. By ``key_id`` a later import knows the key that it is in Lucia, if it is one."""

    key_id: UUID | None
    issuer: str
    subject: str
    created_at: datetime | None
    last_used_at: datetime | None


class LoadedTOTP(Struct, frozen=True, kw_only=True):
    """A confirmed app. Without ``key_id`` its secret is lost, and the app still asked for."""

    secret_id: UUID
    key_id: str | None
    ciphertext: bytes | None
    last_step: int
    created_at: datetime | None
    confirmed_at: datetime
    last_used_at: datetime | None


class LoadedPasskey(Struct, frozen=True, kw_only=True):
    """A passkey. ``transports`` is JSON."""

    id: UUID
    credential_id: bytes
    public_key: bytes
    sign_count: int
    rp_id: str
    transports: str
    name: str
    aaguid: UUID | None
    is_backup_eligible: bool
    is_backed_up: bool
    created_at: datetime | None
    last_used_at: datetime | None


class LoadedRecoveryCode(Struct, frozen=True, kw_only=True):
    """A recovery code that was not used."""

    hash: bytes
    created_at: datetime | None


class LoadedUser(Struct, frozen=True, kw_only=True):
    """A user with everything that is loaded. ``metadata`` is JSON. Empty times are the present."""

    id: UUID
    created_at: datetime | None
    roles: list[str]
    metadata: str
    disabled_at: datetime | None
    disabled_reason: str | None
    version: int
    security_version: int
    security_changed_at: datetime | None
    passkey_handle: bytes | None
    keys: list[LoadedKey]
    identities: list[LoadedIdentity]
    totp: LoadedTOTP | None
    passkeys: list[LoadedPasskey]
    recovery_codes: list[LoadedRecoveryCode]
