"""Service tokens: what other programs hold, and what they may do with it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct


class Scope(StrEnum):
    """What a service token permits."""

    INTROSPECT = "introspect"
    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
    ROLES_WRITE = "roles:write"
    USERS_RECOVER = "users:recover"
    SESSIONS_READ = "sessions:read"
    SESSIONS_WRITE = "sessions:write"
    INVITATIONS_WRITE = "invitations:write"


class ServiceToken(Struct, frozen=True, kw_only=True):
    """A service token, without its secret. A later version of the service may know more scopes.

    One with ``suspended_at`` opens nothing until it is confirmed.
    """

    id: UUID
    name: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    suspended_at: datetime | None
