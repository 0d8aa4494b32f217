"""The words of the service as data: who a user is, how one is recognised, and for how long.

The ground floor: nothing of ours is imported here.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

from msgspec import Struct

Address = IPv4Address | IPv6Address


class Provider(StrEnum):
    """Who vouches for the name on a key."""

    USERNAME = "username"


class SessionState(StrEnum):
    """A live session is active or idle; a dead one is not told from one that never was."""

    ACTIVE = "active"
    IDLE = "idle"


class SecretHash(bytes):
    """The SHA-256 of a session's secret. Its ``repr`` tells nothing."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "SecretHash(…)"


class PasswordHash(str):
    """A password hash in its text form, ours or a foreign one. Its ``repr`` tells nothing."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "PasswordHash(…)"


class User(Struct, frozen=True, kw_only=True):
    """A person. ``username`` is the display form of the username key, if there is one."""

    id: UUID
    username: str | None
    created_at: datetime


class Key(Struct, frozen=True, kw_only=True):
    """One way to recognise a user. Without a password hash it cannot log in by password."""

    provider: str
    name: str
    user: User
    password_hash: PasswordHash | None


class KeyInfo(Struct, frozen=True):
    """A key as its owner may see it."""

    provider: str
    name: str
    display_name: str
    has_password: bool


class Session(Struct, frozen=True, kw_only=True):
    """One log-in on one device. All times are the database's."""

    id: UUID
    user_id: UUID
    created_at: datetime
    renewed_at: datetime
    active_expires_at: datetime
    idle_expires_at: datetime


class FoundSession(Struct, frozen=True, kw_only=True):
    """A live session as the look-up found it, before anybody proved to hold its secret."""

    session: Session
    user: User
    state: SessionState
    secret_hash: SecretHash


class Device(Struct, frozen=True, kw_only=True):
    """What is kept of the client that opened a session, for its owner to recognise."""

    user_agent: str | None = None
    address: Address | None = None


class Caller(Struct, frozen=True, kw_only=True):
    """Who asks for something: by which device, and in which request."""

    device: Device = Device()
    request_id: str | None = None


class ListedSession(Struct, frozen=True, kw_only=True):
    """A session as its user sees it among the others."""

    session: Session
    state: SessionState
    device: Device


class SessionPeriods(Struct, frozen=True, kw_only=True):
    """How long sessions live, each in seconds.

    A session is active for ``active``, then idle for ``idle`` on top of that, and in no case lives
    longer than ``lifetime`` from the log-in.
    """

    active: float
    idle: float
    lifetime: float


class Rate(Struct, frozen=True):
    """So many attempts in ``period`` seconds; they come back one by one. No attempts: no limit."""

    attempts: int
    period: float
