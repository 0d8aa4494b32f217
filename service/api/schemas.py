"""Request and response bodies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from service.api.http.json_body import Body
from service.api.security.credentials import Transport
from service.auth.device_names import DeviceName
from service.auth.errors import FieldError
from service.auth.passwords import NewCredentials, NewPassword, Password, username_in_password
from service.auth.usernames import ClaimedUsername, Username
from service.model.sessions import ListedSession, Session, SessionState
from service.model.users import User

UNNAMED_DEVICE = DeviceName()
# Text that is no device token is that of an unknown device, not an error.
PresentedDeviceToken = Annotated[
    str,
    Meta(
        description="`session.device_token` of an earlier log-in or sign-up on this device, for "
        "clients without cookies. It opens nothing: a known device has rate limits of its own."
    ),
]


class SignUpRequest(Body, frozen=True, kw_only=True):
    """Request body of POST /signup."""

    username: Username
    password: NewPassword
    transport: Transport = Transport.COOKIE
    device_name: DeviceName = UNNAMED_DEVICE
    device_token: PresentedDeviceToken = ""

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> list[FieldError]:
        """Return an error if the password contains the user name."""
        if values.keys() >= {"username", "password"}:
            return username_in_password(values["username"].name, values["password"])
        return []

    @property
    def credentials(self) -> NewCredentials:
        """The user name and the password."""
        return NewCredentials(self.username, self.password)


class LogInRequest(Body, frozen=True, kw_only=True):
    """Request body of POST /login."""

    username: ClaimedUsername
    password: Password
    transport: Transport = Transport.COOKIE
    device_name: DeviceName = UNNAMED_DEVICE
    device_token: PresentedDeviceToken = ""


class ChangePasswordRequest(Body, frozen=True, kw_only=True):
    """Request body of PUT /me/password."""

    current_password: Password
    new_password: NewPassword


class DeleteMeRequest(Body, frozen=True, kw_only=True):
    """Request body of DELETE /me."""

    password: Password


class SessionInfo(Struct, frozen=True, kw_only=True):
    """The session of the request.

    ``fresh`` means that this request opened it, renewed it or replaced its token. ``token`` is
    present only when the session was opened, or its token replaced, with the transport ``bearer``.
    ``device_token`` is present when it was opened with that transport: to be kept when the session
    ends, and sent with the next log-in.
    """

    id: UUID
    state: SessionState
    fresh: bool
    created_at: datetime
    active_expires_at: datetime
    idle_expires_at: datetime
    absolute_expires_at: datetime
    token: str | UnsetType = UNSET
    device_token: str | UnsetType = UNSET


class Authenticated(Struct, frozen=True, kw_only=True):
    """The user and the session of the request."""

    user: User
    session: SessionInfo


class ListedSessionInfo(Struct, frozen=True, kw_only=True):
    """A session in the list of its user's sessions. ``current`` marks that of the request."""

    id: UUID
    current: bool
    state: SessionState
    device_name: str | None
    user_agent: str | None
    address: str | None
    created_at: datetime
    renewed_at: datetime
    active_expires_at: datetime
    idle_expires_at: datetime
    absolute_expires_at: datetime


class SessionPage(Struct, frozen=True, kw_only=True):
    """Sessions, newest first. ``next`` is the ``cursor`` of the next page, if there is one."""

    sessions: list[ListedSessionInfo]
    next: str | None


class Ended(Struct, frozen=True, kw_only=True):
    """The number of sessions that ended."""

    ended: int


def authenticated(
    user: User,
    session: Session,
    *,
    fresh: bool,
    token: str | UnsetType = UNSET,
    device_token: str | UnsetType = UNSET,
) -> Authenticated:
    """Return the response body for a session, which is active: an idle one has been renewed."""
    return Authenticated(
        user=user,
        session=SessionInfo(
            id=session.id,
            state=SessionState.ACTIVE,
            fresh=fresh,
            created_at=session.created_at,
            active_expires_at=session.active_expires_at,
            idle_expires_at=session.idle_expires_at,
            absolute_expires_at=session.absolute_expires_at,
            token=token,
            device_token=device_token,
        ),
    )


def listed_session_info(listed: ListedSession, *, current: UUID) -> ListedSessionInfo:
    """Return a session as it is listed for its user; ``current`` is the id of the request's."""
    session, device = listed.session, listed.device
    return ListedSessionInfo(
        id=session.id,
        current=session.id == current,
        state=listed.state,
        device_name=device.name,
        user_agent=device.user_agent,
        address=None if device.address is None else str(device.address),
        created_at=session.created_at,
        renewed_at=session.renewed_at,
        active_expires_at=session.active_expires_at,
        idle_expires_at=session.idle_expires_at,
        absolute_expires_at=session.absolute_expires_at,
    )
