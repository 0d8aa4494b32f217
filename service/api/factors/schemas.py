"""Request and response bodies of factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from service.api.factors.answers import (
    CodeText,
    Credential,
    FactorMethod,
    errors_of_code,
    factor_answer,
    missing,
)
from service.api.http.json_body import Body
from service.api.schemas import UNNAMED_DEVICE, PresentedDeviceToken
from service.auth import base64url
from service.auth.device_names import DeviceName
from service.auth.errors import FieldError, InvalidChallenge
from service.auth.factors.answers import Answer
from service.auth.factors.authenticator_apps import TOTPSetUp
from service.auth.factors.existing import FactorOverview
from service.auth.factors.passkey_names import PasskeyName
from service.auth.factors.passkey_questions import PasskeyOptions
from service.auth.factors.passkeys import AddedPasskey, PasskeyList
from service.auth.factors.recovery_codes import RecoveryCode
from service.auth.factors.totp import TOTPCode
from service.model.passkeys import Passkey
from service.model.sessions import Method, Transport

OptionsToken = Annotated[str, Meta(description="`challenge_token` of the options.")]


class SecondFactorRequest(Body, frozen=True, kw_only=True):
    """Request body of POST /login/second-factor."""

    challenge_token: Annotated[
        str, Meta(description="`challenge_token` of the problem `second_factor_required`.")
    ]
    method: Annotated[
        FactorMethod,
        Meta(
            description="`totp` or `recovery_code`, with `code`; or `passkey`, with `credential`: "
            "one of `methods` of the problem."
        ),
    ]
    code: CodeText | UnsetType = UNSET
    credential: Credential | UnsetType = UNSET

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> list[FieldError]:
        """Return an error if what the method needs is missing, or cannot be a code."""
        method = values.get("method")
        if method is None:
            return []
        needed = "credential" if method is FactorMethod.PASSKEY else "code"
        return missing(values, needed) or errors_of_code(Method(method), values.get("code"))

    @property
    def answer(self) -> Answer:
        """The answer by the factor. Raises `InvalidChallenge`; not if it was checked."""
        answer = factor_answer(Method(self.method), self.code, self.credential)
        if answer is None:
            raise InvalidChallenge
        return answer


class PasskeyLogInRequest(Body, frozen=True, kw_only=True):
    """Request body of POST /login/passkey."""

    challenge_token: OptionsToken
    credential: Credential
    transport: Transport = Transport.COOKIE
    device_name: DeviceName = UNNAMED_DEVICE
    device_token: PresentedDeviceToken = ""


class ConfirmTOTPRequest(Body, frozen=True, kw_only=True):
    """Request body of POST /me/totp/confirm."""

    code: TOTPCode


class AddPasskeyRequest(Body, frozen=True, kw_only=True):
    """Request body of POST /me/passkeys."""

    challenge_token: OptionsToken
    credential: Credential
    name: PasskeyName | UnsetType = UNSET


class RenamePasskeyRequest(Body, frozen=True, kw_only=True):
    """Request body of PATCH /me/passkeys/{id}."""

    name: PasskeyName


class PasskeyChallenge(Struct, frozen=True, kw_only=True):
    """Options for `navigator.credentials`, and what comes back with the answer."""

    challenge_token: Annotated[str, Meta(description="Send it with the credential.")]
    options: Annotated[
        dict[str, Any],
        Meta(
            description="For `PublicKeyCredential.parseCreationOptionsFromJSON` or "
            "`parseRequestOptionsFromJSON`, as they are."
        ),
    ]
    expires_at: Annotated[datetime, Meta(description="When it can no longer be answered.")]


RecoveryCodeList = Annotated[
    list[str],
    Meta(
        description="Ten codes, each of which stands in for a factor once. They are not shown "
        "again."
    ),
]


class NewRecoveryCodes(Struct, frozen=True, kw_only=True):
    """New recovery codes; all earlier ones are void."""

    recovery_codes: RecoveryCodeList


class TOTPSecret(Struct, frozen=True, kw_only=True):
    """What an authenticator app needs. It is not shown again."""

    secret: Annotated[
        str, Meta(description="The secret, in base32, for users who cannot scan a QR code.")
    ]
    uri: Annotated[str, Meta(description="`otpauth://…`: show it as a QR code.")]


class TOTPConfirmed(Struct, frozen=True, kw_only=True):
    """The app is a factor."""

    recovery_codes: Annotated[
        RecoveryCodeList | UnsetType, Meta(description="If it is the first factor.")
    ] = UNSET


class PasskeyInfo(Struct, frozen=True, kw_only=True):
    """A passkey of the user."""

    id: Annotated[UUID, Meta(description="The passkey's id.")]
    name: Annotated[str, Meta(description="The user's name for it.")]
    credential_id: Annotated[str, Meta(description="Its credential id, in base64url.")]
    backed_up: Annotated[
        bool, Meta(description="Whether it is on more than one device, or in a backup.")
    ]
    created_at: Annotated[datetime, Meta(description="When it was added.")]
    last_used_at: Annotated[
        datetime | None, Meta(description="When it proved the user for the last time.")
    ]


UserHandle = Annotated[
    str | None,
    Meta(
        description="`userId` for `signalAllAcceptedCredentials` and `signalCurrentUserDetails`; "
        "null if the user never had a passkey."
    ),
]
AcceptedCredentials = Annotated[
    list[str], Meta(description="`allAcceptedCredentialIds` for `signalAllAcceptedCredentials`.")
]
RPId = Annotated[str, Meta(description="`rpId` for `signalAllAcceptedCredentials`.")]


class ListedPasskeys(Struct, frozen=True, kw_only=True):
    """The passkeys of the user, oldest first, and what the signals to authenticators need."""

    passkeys: Annotated[list[PasskeyInfo], Meta(description="All of them.")]
    rp_id: RPId
    user_handle: UserHandle
    all_accepted_credential_ids: AcceptedCredentials


class PasskeyAdded(Struct, frozen=True, kw_only=True):
    """The new passkey, and what the signals to authenticators need."""

    passkey: Annotated[PasskeyInfo, Meta(description="The new passkey.")]
    recovery_codes: Annotated[
        RecoveryCodeList | UnsetType, Meta(description="If it is the first factor.")
    ] = UNSET
    rp_id: RPId
    user_handle: UserHandle
    all_accepted_credential_ids: AcceptedCredentials


class TOTPInfo(Struct, frozen=True, kw_only=True):
    """The authenticator app of the user."""

    confirmed_at: Annotated[datetime, Meta(description="When it became a factor.")]
    last_used_at: Annotated[
        datetime | None, Meta(description="When a code of it was used for the last time.")
    ]


class Factors(Struct, frozen=True, kw_only=True):
    """The factors of the user."""

    totp: Annotated[
        TOTPInfo | UnsetType, Meta(description="The authenticator app, if there is one.")
    ] = UNSET
    passkeys: Annotated[list[PasskeyInfo], Meta(description="The passkeys, oldest first.")]
    recovery_codes_left: Annotated[int, Meta(description="How many recovery codes are left.")]
    methods: Annotated[
        list[str],
        Meta(
            description="The methods by which the user can reauthenticate, for step-up. Later "
            "versions may know further methods."
        ),
    ]


def passkey_challenge(options: PasskeyOptions) -> PasskeyChallenge:
    """Return the response body with options for `navigator.credentials`."""
    return PasskeyChallenge(
        challenge_token=options.challenge_token,
        options=options.options,
        expires_at=options.expires_at,
    )


def shown_codes(codes: Sequence[RecoveryCode]) -> list[str]:
    """Return recovery codes as they are shown."""
    return [each.grouped for each in codes]


def recovery_codes_if_any(codes: Sequence[RecoveryCode] | None) -> list[str] | UnsetType:
    """Return the recovery codes of a first factor as they are shown."""
    return UNSET if codes is None else shown_codes(codes)


def totp_secret(made: TOTPSetUp) -> TOTPSecret:
    """Return the response body for an authenticator app that is set up."""
    return TOTPSecret(secret=made.secret, uri=made.uri)


def passkey_info(passkey: Passkey) -> PasskeyInfo:
    """Return a passkey as it is shown to its user."""
    return PasskeyInfo(
        id=passkey.id,
        name=passkey.name,
        credential_id=base64url.encode(passkey.credential_id),
        backed_up=passkey.is_backed_up,
        created_at=passkey.created_at,
        last_used_at=passkey.last_used_at,
    )


def passkeys(listed: PasskeyList, rp_id: str) -> ListedPasskeys:
    """Return the response body with the passkeys of a user."""
    return ListedPasskeys(
        passkeys=[passkey_info(each) for each in listed.passkeys],
        rp_id=rp_id,
        user_handle=_handle(listed),
        all_accepted_credential_ids=_accepted(listed, rp_id),
    )


def passkey_added(added: AddedPasskey, rp_id: str) -> PasskeyAdded:
    """Return the response body for a new passkey."""
    return PasskeyAdded(
        passkey=passkey_info(added.passkey),
        recovery_codes=recovery_codes_if_any(added.recovery_codes),
        rp_id=rp_id,
        user_handle=_handle(added.listed),
        all_accepted_credential_ids=_accepted(added.listed, rp_id),
    )


def factors(overview: FactorOverview, methods: Sequence[str]) -> Factors:
    """Return the response body with the factors of a user; ``methods`` are those of step-up."""
    app = overview.totp
    return Factors(
        totp=UNSET
        if app is None
        else TOTPInfo(confirmed_at=app.confirmed_at, last_used_at=app.last_used_at),
        passkeys=[passkey_info(each) for each in overview.passkeys],
        recovery_codes_left=overview.recovery_codes,
        methods=[*methods],
    )


def _handle(listed: PasskeyList) -> str | None:
    return None if listed.handle is None else base64url.encode(listed.handle)


def _accepted(listed: PasskeyList, rp_id: str) -> list[str]:
    of_site = [each for each in listed.passkeys if each.rp_id == rp_id]
    return [base64url.encode(each.credential_id) for each in of_site]
