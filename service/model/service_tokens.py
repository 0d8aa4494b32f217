"""Service tokens: what other programs hold, and what they may do with it."""

from __future__ import annotations

from datetime import datetime, timedelta
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


class ServiceTokenHash(bytes):
    """The SHA-256 of a service token's secret. Its ``repr`` hides it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ServiceTokenHash(…)"


class NewServiceToken(Struct, frozen=True, kw_only=True):
    """A service token that is to be stored."""

    id: UUID
    name: str
    secret_hash: ServiceTokenHash
    scopes: frozenset[Scope]
    lifetime: timedelta


class FoundServiceToken(Struct, frozen=True, kw_only=True):
    """A service token that was looked up by its id; its secret has yet to be compared.

    ``is_use_recorded``: its last use was recorded less than a minute ago.
    """

    token: ServiceToken
    secret_hash: ServiceTokenHash
    is_use_recorded: bool
