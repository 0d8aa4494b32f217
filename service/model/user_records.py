"""Users as operators and other programs see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct


class UserRecord(Struct, frozen=True, kw_only=True):
    """A user with what only operators see and change.

    ``version`` moves with every change of roles, metadata, state or user name.
    """

    id: UUID
    username: str | None
    email: str | None
    email_verified_at: datetime | None
    roles: list[str]
    metadata: dict[str, Any]
    disabled_at: datetime | None
    disabled_reason: str | None
    created_at: datetime
    version: int
