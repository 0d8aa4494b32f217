"""Invitations to sign up."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from service.model.sessions import SecretHash


class Invitation(Struct, frozen=True, kw_only=True):
    """An invitation that nobody has signed up with yet.

    With an ``address``, in prepared form, only a sign-up with that address can use it. Without a
    ``service_token_id`` an operator made it, on the command line.
    """

    id: UUID
    secret_hash: SecretHash
    address: str | None
    display_address: str | None
    roles: list[str]
    service_token_id: UUID | None
    created_at: datetime
    expires_at: datetime
