"""Examples of request bodies and of successful responses, for the OpenAPI document.

Sent one after another, in the order of the endpoints, the requests succeed: so do those that the
page fills in.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import msgspec

from service.api.admin.factors import UserFactors, UserPasskey
from service.api.admin.invitation_schemas import (
    CreatedInvitation,
    InvitationInfo,
    InvitationPage,
)
from service.api.admin.password_resets import ResetLink
from service.api.admin.sessions import UserSessionPage
from service.api.admin.user_schemas import AdministeredUser, UserPage
from service.api.factors.schemas import (
    Factors,
    ListedPasskeys,
    NewRecoveryCodes,
    PasskeyAdded,
    PasskeyChallenge,
    PasskeyInfo,
    TOTPConfirmed,
    TOTPInfo,
    TOTPSecret,
)
from service.api.health import Health
from service.api.identities.schemas import BegunFlow, IdentityInfo, IdentityList
from service.api.programs.access_tokens import IssuedAccessToken, JSONWebKey, JSONWebKeySet
from service.api.programs.introspection import introspection_of
from service.api.schemas import (
    ChallengeSent,
    Ended,
    ReauthenticationOptions,
    Requested,
    SessionPage,
    authenticated,
    listed_session_info,
    user_session_info,
)
from service.model.exports import AccountExport, ExportedDevice, ExportedIdentity, ExportedKey
from service.model.request_context import Device
from service.model.sessions import (
    FoundSession,
    ListedSession,
    Method,
    SecretHash,
    Session,
    SessionState,
    Transport,
)
from service.model.users import User

_LOGGED_IN_AT = datetime(2026, 1, 31, 9, 30, 0, 123456, UTC)

_USER = User(
    id=UUID("0198a3c1-5f7e-7c3a-9b1d-2f6e8c4a1b7d"),
    username="Alice",
    email="alice@example.com",
    email_verified_at=_LOGGED_IN_AT - timedelta(days=199),
    roles=["editor"],
    metadata={"plan": "team"},
    created_at=_LOGGED_IN_AT - timedelta(days=200),
)
_SESSION = Session(
    id=UUID("3f2b8c1e-9d4a-4e6f-8a7b-5c1d2e3f4a5b"),
    user_id=_USER.id,
    created_at=_LOGGED_IN_AT,
    renewed_at=_LOGGED_IN_AT,
    active_expires_at=_LOGGED_IN_AT + timedelta(days=1),
    idle_expires_at=_LOGGED_IN_AT + timedelta(days=15),
    absolute_expires_at=_LOGGED_IN_AT + timedelta(days=30),
    authenticated_at=_LOGGED_IN_AT,
    methods={"password": _LOGGED_IN_AT},
)
_FOUND = FoundSession(
    session=_SESSION,
    user=_USER,
    state=SessionState.ACTIVE,
    found_at=_LOGGED_IN_AT,
    secret_hash=SecretHash(),
    legacy_cookie=False,
)
_LISTED = ListedSession(
    session=_SESSION,
    state=SessionState.ACTIVE,
    device=Device(
        name="Alice's laptop",
        user_agent="Mozilla/5.0 (X11; Linux x86_64)",
        address=ip_address("203.0.113.7"),
    ),
)


_EXPORT = AccountExport(
    exported_at=_LOGGED_IN_AT,
    user=_USER,
    keys=[
        ExportedKey(
            provider="username",
            name="Alice",
            has_password=True,
            verified_at=None,
            created_at=_USER.created_at,
        )
    ],
    identities=[
        ExportedIdentity(
            issuer="https://accounts.google.com",
            subject="110169484474386276334",
            created_at=_USER.created_at,
            last_used_at=_LOGGED_IN_AT,
        )
    ],
    sessions=[],
    devices=[ExportedDevice(last_seen=_LOGGED_IN_AT)],
    passkeys=[],
    recovery_codes_left=0,
    challenges=[],
)

_INVITATION = InvitationInfo(
    id=UUID("7c9e6679-7425-40de-944b-e07fc1f90ae7"),
    email="bob@example.com",
    roles=["editor"],
    service_token_id=UUID("1b4e28ba-2fa1-41d2-883f-0016d3cca427"),
    created_at=_LOGGED_IN_AT,
    expires_at=_LOGGED_IN_AT + timedelta(days=7),
)

_IDENTITY = IdentityInfo(
    id=UUID("5d1c0a7e-2b3f-4c4d-8e9f-6a7b8c9d0e1f"),
    provider="google",
    issuer="https://accounts.google.com",
    subject="110169484474386276334",
    created_at=_USER.created_at,
    last_used_at=_LOGGED_IN_AT,
)
_CALLBACK = "https://app.example.com/callback"
_STATE = "b2lkYwAJx3mS0bq1QdWq8k5yF2Zn"
_FLOW_NONCE = "tK4o5WP48EestSGYdI_R6fvf0SN3JtELAEGRqbeyhr0"

_CREDENTIAL_ID = "cGFzc2tleSBvZiBBbGljZQ"
_PASSKEY = PasskeyInfo(
    id=UUID("0b5d2d0e-8f6c-4a43-9d1e-7a6b5c4d3e2f"),
    name="Alice's laptop",
    credential_id=_CREDENTIAL_ID,
    backed_up=True,
    created_at=_LOGGED_IN_AT,
    last_used_at=None,
)
_KNOWN_PASSKEY = UserPasskey(
    id=_PASSKEY.id,
    name=_PASSKEY.name,
    rp_id="example.com",
    backed_up=True,
    created_at=_LOGGED_IN_AT,
    last_used_at=None,
)
_ADMINISTERED = AdministeredUser(
    id=_USER.id,
    username=_USER.username,
    email=_USER.email,
    email_verified_at=_USER.email_verified_at,
    roles=_USER.roles,
    metadata=_USER.metadata,
    disabled=False,
    disabled_at=None,
    disabled_reason=None,
    created_at=_USER.created_at,
)
_SIGNALS: dict[str, Any] = {
    "rp_id": "example.com",
    "user_handle": "ZjI4YzQ1NmI3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGU",
    "all_accepted_credential_ids": [_CREDENTIAL_ID],
}
# What a browser returns, which only the authenticator can make.
_OF_BROWSER = {"type": "public-key", "id": _CREDENTIAL_ID, "rawId": _CREDENTIAL_ID}
_ASSERTION = {
    **_OF_BROWSER,
    "response": {
        "clientDataJSON": "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0In0",
        "authenticatorData": "…",
        "signature": "…",
        "userHandle": _SIGNALS["user_handle"],
    },
    "clientExtensionResults": {},
}
_NEW_CREDENTIAL = {
    **_OF_BROWSER,
    "response": {
        "clientDataJSON": "eyJ0eXBlIjoid2ViYXV0aG4uY3JlYXRlIn0",
        "attestationObject": "…",
        "transports": ["internal", "hybrid"],
    },
    "clientExtensionResults": {},
}
_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"  # noqa: S105
_RECOVERY_CODES = ["0X2CQP-WFPG3N-MKKA09-YYQQ7R", "2G0JSZ-7JPK1A-QDEHBA-N9RYGQ"]

_KEY = JSONWebKey(
    kid="7d0c1f3e-5a2b-4c6d-9e8f-0a1b2c3d4e5f",
    kty="EC",
    crv="P-256",
    x="fn7tRs9juaNpUTZtp30IujT31d7cZzEYaAfuY_GjWnQ",
    y="EgOwZI3qaK317f3FxrceSA2xXL1M_BXztf4h5FQcWxA",
)
_ACCESS_TOKEN = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiJ9.…"  # noqa: S105

_CREDENTIALS = {"username": _USER.username, "password": "correct horse battery staple"}
_NEW_PASSWORD = "an entirely different passphrase"  # noqa: S105
_TOKEN = "Pyu4wZ1KTm-Ke1wdLj9KW0Xw9cQ3b7sVtWv0cSxZ1i8dN2kqT5uYpHrLgQmEaBfC"  # noqa: S105
_ANSWER = {"challenge_token": _TOKEN, "code": "12345678"}
_BEARER = {**_CREDENTIALS, "transport": Transport.BEARER, "device_name": "Alice's phone"}


def examples() -> dict[str, dict[str, Any]]:
    """Return ``example`` or ``examples`` of each body, by the name of its schema."""
    return _request_examples() | _success_examples()


def _request_examples() -> dict[str, dict[str, Any]]:
    credentials = {
        "examples": {
            "cookie": {"summary": "In a browser", "value": _CREDENTIALS},
            "bearer": {"summary": "In an app or a script", "value": _BEARER},
        }
    }
    passwords = {"current_password": _CREDENTIALS["password"], "new_password": _NEW_PASSWORD}
    others = {
        "ChangePasswordRequest": passwords,
        "DeleteMeRequest": {"password": _NEW_PASSWORD},
        "ReauthenticateRequest": {"method": "password", "password": _CREDENTIALS["password"]},
        "ChangeUsernameRequest": {"username": "Alicia"},
        "SignUpByEmailRequest": {"email": _USER.email},
        "VerifySignUpRequest": _ANSWER | {"password": _CREDENTIALS["password"]},
        "ChangeEmailRequest": {"email": _USER.email},
        "VerifyEmailRequest": _ANSWER,
        "RequestPasswordResetRequest": {"identifier": _USER.email},
        "ConfirmPasswordResetRequest": {"token": _TOKEN, "new_password": _NEW_PASSWORD},
        "UndoRequest": {"token": _TOKEN},
        "SecondFactorRequest": {"challenge_token": _TOKEN, "method": "totp", "code": "123456"},
        "PasskeyLogInRequest": {"challenge_token": _TOKEN, "credential": _ASSERTION},
        "ConfirmTOTPRequest": {"code": "123456"},
        "AddPasskeyRequest": {
            "challenge_token": _TOKEN,
            "credential": _NEW_CREDENTIAL,
            "name": _PASSKEY.name,
        },
        "IssueAccessTokenRequest": {"audience": "billing"},
        "CreateUserRequest": {
            "username": "Carol",
            "email": "carol@example.com",
            "email_verified": True,
            "roles": ["editor"],
            "metadata": {"plan": "team"},
        },
        "ChangeUserRequest": {"roles": ["editor", "owner"], "metadata": {"plan": None}},
        "ResetUserPasswordRequest": {"deliver": "return"},
        "CreateInvitationRequest": {"email": "bob@example.com", "roles": ["editor"]},
        "BeginFlowRequest": {"redirect_uri": _CALLBACK},
        "LogInCallbackRequest": {"state": _STATE, "code": "4/0AeanS0a"},
        "CallbackRequest": {"state": _STATE, "code": "4/0AeanS0a"},
        "IdTokenRequest": {"state": _STATE, "id_token": "eyJhbGciOiJSUzI1NiJ9.…"},
        "SignUpByIdentityRequest": {"challenge_token": _TOKEN, "username": _USER.username},
        "RenamePasskeyRequest": {"name": "Alice's telephone"},
    }
    return {
        "SignUpRequest": credentials,
        "LogInRequest": credentials,
        **{name: {"example": body} for name, body in others.items()},
    }


def _success_examples() -> dict[str, dict[str, Any]]:
    bodies = (
        authenticated(_USER, _SESSION, fresh=True),
        SessionPage(sessions=[listed_session_info(_LISTED, current=_SESSION.id)], next=None),
        Ended(ended=2),
        ChallengeSent(challenge_token=_TOKEN, expires_at=_LOGGED_IN_AT + timedelta(minutes=10)),
        ReauthenticationOptions(methods=[Method.PASSWORD]),
        Requested(),
        TOTPSecret(
            secret=_SECRET, uri=f"otpauth://totp/Ostiary:Alice?secret={_SECRET}&issuer=Ostiary"
        ),
        TOTPConfirmed(recovery_codes=_RECOVERY_CODES),
        NewRecoveryCodes(recovery_codes=_RECOVERY_CODES),
        Factors(
            totp=TOTPInfo(confirmed_at=_LOGGED_IN_AT, last_used_at=None),
            passkeys=[_PASSKEY],
            recovery_codes_left=10,
            methods=[Method.TOTP, Method.PASSKEY, Method.RECOVERY_CODE],
        ),
        _PASSKEY,
        ListedPasskeys(passkeys=[_PASSKEY], **_SIGNALS),
        PasskeyAdded(passkey=_PASSKEY, recovery_codes=_RECOVERY_CODES, **_SIGNALS),
        PasskeyChallenge(
            challenge_token=_TOKEN,
            options={
                "challenge": "tK4o5WP48EestSGYdI_R6fvf0SN3JtELAEGRqbeyhr0",
                "rpId": "example.com",
                "timeout": 300_000,
                "userVerification": "required",
                "allowCredentials": [],
            },
            expires_at=_LOGGED_IN_AT + timedelta(minutes=10),
        ),
        BegunFlow(
            authorization_url="https://accounts.google.com/o/oauth2/v2/auth?client_id=…",
            state=_STATE,
            nonce=_FLOW_NONCE,
            expires_at=_LOGGED_IN_AT + timedelta(minutes=10),
        ),
        _IDENTITY,
        IdentityList(identities=[_IDENTITY]),
        _ADMINISTERED,
        UserPage(users=[_ADMINISTERED], next=None),
        UserSessionPage(sessions=[user_session_info(_LISTED)], next=None),
        UserFactors(
            totp=TOTPInfo(confirmed_at=_LOGGED_IN_AT, last_used_at=None),
            passkeys=[_KNOWN_PASSKEY],
            recovery_codes_left=10,
            methods=[Method.TOTP, Method.PASSKEY, Method.RECOVERY_CODE],
        ),
        ResetLink(
            expires_at=_LOGGED_IN_AT + timedelta(hours=1),
            token=_TOKEN,
            link=f"https://app.example.com/reset#token={_TOKEN}",
        ),
        CreatedInvitation(invitation=_INVITATION, mailed=True),
        InvitationPage(invitations=[_INVITATION], next=None),
        _EXPORT,
        IssuedAccessToken(token=_ACCESS_TOKEN, expires_at=_LOGGED_IN_AT + timedelta(minutes=1)),
        JSONWebKeySet(keys=[_KEY]),
        introspection_of(_FOUND),
        Health(),
    )
    return {type(each).__name__: {"example": msgspec.to_builtins(each)} for each in bodies}
