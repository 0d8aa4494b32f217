"""Request and response bodies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from service.api.factors.answers import (
    CodeText,
    Credential,
    errors_of_code,
    factor_answer,
    missing,
)
from service.api.http.json_body import Body
from service.auth.challenges import Made
from service.auth.codes import Code
from service.auth.device_names import DeviceName
from service.auth.email_addresses import EmailAddress
from service.auth.errors import FieldError
from service.auth.factors.answers import Answer
from service.auth.identifiers import Identifier
from service.auth.passwords import NewCredentials, NewPassword, Password, username_in_password
from service.auth.reauthentication import Options
from service.auth.usernames import Username
from service.model.sessions import (
    ListedSession,
    Method,
    ProvenMethod,
    Session,
    SessionState,
    Transport,
)
from service.model.users import User

UNNAMED_DEVICE = DeviceName()

SessionId = Annotated[UUID, Meta(description="The session's id.")]
State = Annotated[
    SessionState,
    Meta(description="`active`, or `idle`: the next request with its token renews it."),
]
CreatedAt = Annotated[datetime, Meta(description="When the user logged in.")]
ActiveExpiresAt = Annotated[
    datetime,
    Meta(description="Until then the session is active; the first request after it renews it."),
]
IdleExpiresAt = Annotated[
    datetime, Meta(description="When the session ends, unless a request renews it before.")
]
AuthenticatedAt = Annotated[
    datetime,
    Meta(description="When the user last authenticated in this session, for step-up."),
]
AbsoluteExpiresAt = Annotated[
    datetime, Meta(description="When the session ends, however often it is renewed.")
]

# Text that is the token of no challenge is an unknown challenge, not an error of the field.
ChallengeToken = Annotated[
    str, Meta(description="`challenge_token` of the response to the request that mailed the code.")
]
LinkToken = Annotated[str, Meta(description="The token of the link that was mailed.")]

# Text that is the token of no invitation is an invalid invitation, not an error of the field.
PresentedInvitation = Annotated[
    str,
    Meta(
        description="The token of an invitation, out of its link. It is needed where sign-up is by "
        "invitation only; elsewhere it counts, too, if it is sent. It is used up when the user is "
        "created, and only then."
    ),
]

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
    invitation: PresentedInvitation = ""
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

    username: Identifier
    password: Password
    transport: Transport = Transport.COOKIE
    device_name: DeviceName = UNNAMED_DEVICE
    device_token: PresentedDeviceToken = ""


class ChangePasswordRequest(Body, frozen=True, kw_only=True):
    """Request body of PUT /me/password."""

    current_password: Password | UnsetType = UNSET
    new_password: NewPassword


class SignUpByEmailRequest(Body, frozen=True, kw_only=True):
    """Request body of POST /signup/email."""

    email: EmailAddress
    invitation: PresentedInvitation = ""
    device_token: PresentedDeviceToken = ""


class VerifySignUpRequest(Body, frozen=True, kw_only=True):
    """Request body of POST /signup/email/verify."""

    challenge_token: ChallengeToken
    code: Code
    password: NewPassword
    username: Username | UnsetType = UNSET
    invitation: PresentedInvitation = ""
    transport: Transport = Transport.COOKIE
    device_name: DeviceName = UNNAMED_DEVICE
    device_token: PresentedDeviceToken = ""

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> list[FieldError]:
        """Return an error if the password contains the user name."""
        username, password = values.get("username"), values.get("password")
        if isinstance(username, Username) and isinstance(password, NewPassword):
            return username_in_password(username.name, password)
        return []


class ChangeEmailRequest(Body, frozen=True, kw_only=True):
    """Request body of PUT /me/email."""

    email: EmailAddress


class VerifyEmailRequest(Body, frozen=True, kw_only=True):
    """Request body of POST /me/email/verify."""

    challenge_token: ChallengeToken
    code: Code


class RequestPasswordResetRequest(Body, frozen=True, kw_only=True):
    """Request body of POST /password-reset."""

    identifier: Identifier
    device_token: PresentedDeviceToken = ""


class ConfirmPasswordResetRequest(Body, frozen=True, kw_only=True):
    """Request body of POST /password-reset/confirm."""

    token: LinkToken
    new_password: NewPassword
    transport: Transport = Transport.COOKIE
    device_name: DeviceName = UNNAMED_DEVICE
    device_token: PresentedDeviceToken = ""


class UndoRequest(Body, frozen=True, kw_only=True):
    """Request body of POST /undo."""

    token: LinkToken


class ReauthenticationMethod(StrEnum):
    """How the user of a session can reauthenticate."""

    PASSWORD = Method.PASSWORD.value
    TOTP = Method.TOTP.value
    PASSKEY = Method.PASSKEY.value
    RECOVERY_CODE = Method.RECOVERY_CODE.value
    EMAIL_CODE = Method.EMAIL_CODE.value


NEEDED = {
    ReauthenticationMethod.PASSWORD: ("password",),
    ReauthenticationMethod.TOTP: ("code",),
    ReauthenticationMethod.PASSKEY: ("credential", "challenge_token"),
    ReauthenticationMethod.RECOVERY_CODE: ("code",),
    ReauthenticationMethod.EMAIL_CODE: ("code", "challenge_token"),
}


class ReauthenticateRequest(Body, frozen=True, kw_only=True):
    """Request body of POST /me/reauthenticate."""

    method: Annotated[
        ReauthenticationMethod,
        Meta(
            description="`password`, with `password`; `totp` or `recovery_code`, with `code`; "
            "`passkey`, with `credential` and `challenge_token`; or `email_code`, with `code` and "
            "`challenge_token`."
        ),
    ]
    password: Password | UnsetType = UNSET
    code: CodeText | UnsetType = UNSET
    credential: Credential | UnsetType = UNSET
    challenge_token: ChallengeToken = ""

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> list[FieldError]:
        """Return an error for each field that the method needs and that is missing or no code."""
        method = values.get("method")
        if method is None:
            return []
        errors = missing(values, *NEEDED[method])
        return errors or errors_of_code(Method(method), values.get("code"))

    @property
    def factor_answer(self) -> Answer | None:
        """The answer by a factor, if that is the method."""
        return factor_answer(Method(self.method), self.code, self.credential)


class ChangeUsernameRequest(Body, frozen=True, kw_only=True):
    """Request body of PUT /me/username."""

    username: Username


class DeleteMeRequest(Body, frozen=True, kw_only=True):
    """Request body of DELETE /me."""

    password: Password


Methods = Annotated[
    list[ProvenMethod],
    Meta(
        description="How the user authenticated, oldest first. Empty for sessions of earlier "
        "versions and imported ones."
    ),
]


class SessionInfo(Struct, frozen=True, kw_only=True):
    """The session of the request.

    An idle session is renewed by the request, so that it is active in the response.
    """

    id: SessionId
    state: State
    fresh: Annotated[
        bool,
        Meta(
            description="Whether this request opened the session, renewed it or replaced its token."
        ),
    ]
    methods: Methods
    created_at: CreatedAt
    authenticated_at: AuthenticatedAt
    active_expires_at: ActiveExpiresAt
    idle_expires_at: IdleExpiresAt
    absolute_expires_at: AbsoluteExpiresAt
    token: Annotated[
        str | UnsetType,
        Meta(
            description="With the transport `bearer`, when the session was opened or its token "
            "replaced: what `Authorization: Bearer …` sends. It is not shown again."
        ),
    ] = UNSET
    device_token: Annotated[
        str | UnsetType,
        Meta(
            description="With the transport `bearer`, when the session was opened and no cookie "
            "has it: keep it when the session ends, and send it with the next log-in."
        ),
    ] = UNSET


class Authenticated(Struct, frozen=True, kw_only=True):
    """The user and the session of the request."""

    user: Annotated[User, Meta(description="The user of the session.")]
    session: Annotated[SessionInfo, Meta(description="The session of the request.")]
    recovery_codes_left: Annotated[
        int | UnsetType,
        Meta(
            description="How many recovery codes are left, if one of them has completed the log-in "
            "or renewed step-up."
        ),
    ] = UNSET


class UserSessionInfo(Struct, frozen=True, kw_only=True):
    """A live session of a user."""

    id: SessionId
    state: State
    device_name: Annotated[
        str | None, Meta(description="The name that the client gave to the device, if it did.")
    ]
    user_agent: Annotated[
        str | None, Meta(description="`User-Agent` of the request that opened the session.")
    ]
    address: Annotated[
        str | None, Meta(description="IP address of the client that opened the session.")
    ]
    methods: Methods
    created_at: CreatedAt
    authenticated_at: AuthenticatedAt
    renewed_at: Annotated[
        datetime, Meta(description="When the session was opened, or renewed for the last time.")
    ]
    active_expires_at: ActiveExpiresAt
    idle_expires_at: IdleExpiresAt
    absolute_expires_at: AbsoluteExpiresAt


class ListedSessionInfo(UserSessionInfo, frozen=True, kw_only=True):
    """A session in the list of its user's sessions. ``current`` marks that of the request."""

    current: Annotated[bool, Meta(description="Whether it is the session of the request.")]


class SessionPage(Struct, frozen=True, kw_only=True):
    """Sessions, newest first. ``next`` is the ``cursor`` of the next page, if there is one."""

    sessions: Annotated[list[ListedSessionInfo], Meta(description="At most 100 sessions.")]
    next: Annotated[
        str | None, Meta(description="`cursor` of the next page; null on the last one.")
    ]


class ChallengeSent(Struct, frozen=True, kw_only=True):
    """A challenge, which the code that was mailed answers."""

    challenge_token: Annotated[str, Meta(description="Send it with the code.")]
    expires_at: Annotated[datetime, Meta(description="When the code expires.")]


class ReauthenticationOptions(Struct, frozen=True, kw_only=True):
    """How the user of the session can reauthenticate."""

    methods: Annotated[
        list[str],
        Meta(
            description="The methods of which one is enough: `totp`, `passkey` and "
            "`recovery_code` for a user with a factor, else `password`, else `oidc:NAME` for a "
            "linked provider that tells when the user logged in there, else `email_code`, else "
            "`oidc:NAME` for any other; empty if there is none. Later versions may know "
            "further methods."
        ),
    ]
    challenge_token: Annotated[
        str | UnsetType,
        Meta(description="With `email_code` and `passkey`: send it with the answer."),
    ] = UNSET
    passkey_options: Annotated[
        dict[str, Any] | UnsetType,
        Meta(description="With `passkey`: options for `navigator.credentials.get`."),
    ] = UNSET
    expires_at: Annotated[
        datetime | UnsetType, Meta(description="When `challenge_token` expires.")
    ] = UNSET


class Requested(Struct, frozen=True, kw_only=True):
    """Nothing: the response is the same whether there is such a user or not."""


class Ended(Struct, frozen=True, kw_only=True):
    """The number of sessions that ended."""

    ended: Annotated[int, Meta(description="How many sessions ended.")]


def authenticated(  # noqa: PLR0913
    user: User,
    session: Session,
    *,
    fresh: bool,
    token: str | UnsetType = UNSET,
    device_token: str | UnsetType = UNSET,
    recovery_codes_left: int | None = None,
) -> Authenticated:
    """Return the response body for a session, which is active: an idle one has been renewed."""
    return Authenticated(
        user=user,
        session=SessionInfo(
            id=session.id,
            state=SessionState.ACTIVE,
            fresh=fresh,
            methods=session.proven_methods,
            created_at=session.created_at,
            authenticated_at=session.authenticated_at,
            active_expires_at=session.active_expires_at,
            idle_expires_at=session.idle_expires_at,
            absolute_expires_at=session.absolute_expires_at,
            token=token,
            device_token=device_token,
        ),
        recovery_codes_left=UNSET if recovery_codes_left is None else recovery_codes_left,
    )


def challenge_sent(made: Made) -> ChallengeSent:
    """Return the response body for a challenge whose code was mailed."""
    return ChallengeSent(challenge_token=made.token, expires_at=made.expires_at)


def reauthentication_options(options: Options) -> ReauthenticationOptions:
    """Return the response body that tells how the user can reauthenticate."""
    made, passkey = options.made, options.passkey
    if passkey is not None:
        return ReauthenticationOptions(
            methods=[*options.methods],
            challenge_token=passkey.challenge_token,
            passkey_options=passkey.options,
            expires_at=passkey.expires_at,
        )
    return ReauthenticationOptions(
        methods=[*options.methods],
        challenge_token=UNSET if made is None else made.token,
        expires_at=UNSET if made is None else made.expires_at,
    )


def listed_session_info(listed: ListedSession, *, current: UUID) -> ListedSessionInfo:
    """Return a session as it is listed for its user; ``current`` is the id of the request's."""
    is_current = listed.session.id == current
    return ListedSessionInfo(**asdict(user_session_info(listed)), current=is_current)


def user_session_info(listed: ListedSession) -> UserSessionInfo:
    """Return a session as it is listed for a program."""
    session, device = listed.session, listed.device
    return UserSessionInfo(
        id=session.id,
        state=listed.state,
        device_name=device.name,
        user_agent=device.user_agent,
        address=None if device.address is None else str(device.address),
        methods=session.proven_methods,
        created_at=session.created_at,
        authenticated_at=session.authenticated_at,
        renewed_at=session.renewed_at,
        active_expires_at=session.active_expires_at,
        idle_expires_at=session.idle_expires_at,
        absolute_expires_at=session.absolute_expires_at,
    )
