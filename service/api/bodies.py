"""What requests say and answers hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from service.api.credentials import Transport
from service.api.json_body import Body
from service.auth.accounts import errors_between
from service.auth.errors import FieldError
from service.auth.passwords import NewPassword, Password
from service.auth.usernames import ClaimedUsername, Username
from service.model import Session, SessionState, User


class SignUp(Body, frozen=True, kw_only=True):
    """Who wants to join."""

    username: Username
    password: NewPassword
    transport: Transport = Transport.COOKIE

    @classmethod
    def errors_between(cls, values: Mapping[str, Any]) -> list[FieldError]:
        if values.keys() >= {"username", "password"}:
            return errors_between(values["username"].name, values["password"])
        return []


class LogIn(Body, frozen=True, kw_only=True):
    """Who is back."""

    username: ClaimedUsername
    password: Password
    transport: Transport = Transport.COOKIE


class ChangePassword(Body, frozen=True, kw_only=True):
    """Who wants another password."""

    current_password: Password
    new_password: NewPassword


class Leave(Body, frozen=True, kw_only=True):
    """Who wants to leave for good."""

    password: Password


class SessionInfo(Struct, frozen=True, kw_only=True):
    """The session of the request. ``fresh`` means that this very request made or renewed it.

    ``token`` is there when the session was just made for the transport ``bearer``.
    """

    id: UUID
    state: SessionState
    fresh: bool
    created_at: datetime
    active_expires_at: datetime
    idle_expires_at: datetime
    token: str | UnsetType = UNSET


class Authenticated(Struct, frozen=True, kw_only=True):
    """Who the request comes from, and by which session."""

    user: User
    session: SessionInfo


class ListedSessionInfo(Struct, frozen=True, kw_only=True):
    """A session among the others of its user. ``current`` is the one that asks."""

    id: UUID
    current: bool
    state: SessionState
    user_agent: str | None
    address: str | None
    created_at: datetime
    renewed_at: datetime
    active_expires_at: datetime
    idle_expires_at: datetime


class SessionPage(Struct, frozen=True, kw_only=True):
    """Sessions, newest first. ``next`` is the ``cursor`` of the next page, if there is one."""

    sessions: list[ListedSessionInfo]
    next: str | None


class Ended(Struct, frozen=True, kw_only=True):
    """How many sessions ended."""

    ended: int


def authenticated(
    user: User, session: Session, *, fresh: bool, token: str | UnsetType = UNSET
) -> Authenticated:
    """The answer to a request with a session. An idle session was renewed on its way here."""
    return Authenticated(
        user=user,
        session=SessionInfo(
            id=session.id,
            state=SessionState.ACTIVE,
            fresh=fresh,
            created_at=session.created_at,
            active_expires_at=session.active_expires_at,
            idle_expires_at=session.idle_expires_at,
            token=token,
        ),
    )
