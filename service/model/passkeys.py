"""Passkeys."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class NewPasskey(Struct, frozen=True, kw_only=True):
    """A passkey as an authenticator made it.

    ``aaguid`` is the model that the authenticator says it is, which nothing proves.
    """

    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: list[str]
    is_backup_eligible: bool
    is_backed_up: bool
    aaguid: UUID | None = None


class Passkey(Struct, frozen=True, kw_only=True):
    """A passkey of a user, for the relying party ``rp_id``; the public key is a COSE key."""

    id: UUID
    user_id: UUID
    credential_id: bytes
    public_key: bytes
    sign_count: int
    rp_id: str
    transports: list[str]
    name: str
    is_backup_eligible: bool
    is_backed_up: bool
    created_at: datetime
    last_used_at: datetime | None
