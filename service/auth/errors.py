"""Errors of the rules, each with a stable code. The API turns them into problems."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from msgspec import Meta, Struct

from service.model.service_tokens import Scope
from service.storage.errors import DatabaseUnavailable, SchemaBehind

__all__ = [
    "AccountDisabled",
    "AccountNotProven",
    "AlreadyAuthenticated",
    "AlreadySetUp",
    "AuthError",
    "DatabaseUnavailable",
    "Draining",
    "EmailTaken",
    "FieldCode",
    "FieldError",
    "HashingUnavailable",
    "IdentityTaken",
    "InsufficientRole",
    "InsufficientScope",
    "InvalidChallenge",
    "InvalidCode",
    "InvalidCredentials",
    "InvalidField",
    "InvalidInvitation",
    "InvalidServiceToken",
    "KeyInUse",
    "KeyTaken",
    "LastKey",
    "LastWayIn",
    "NoFactor",
    "NoSuchFactor",
    "NoSuchIdentity",
    "NoSuchInvitation",
    "NoSuchKey",
    "NoSuchMail",
    "NoSuchPasskey",
    "NoSuchProvider",
    "NoSuchResource",
    "NoSuchServiceToken",
    "NoSuchSession",
    "NoSuchUser",
    "NotAuthenticated",
    "Overloaded",
    "PreconditionFailed",
    "ProviderRefused",
    "ProviderUnavailable",
    "RateLimited",
    "ReauthenticationRequired",
    "RotationUnderWay",
    "SchemaBehind",
    "SecondFactorRequired",
    "SecretKeyMissing",
    "SecretUnreadable",
    "ServiceTokenNameTaken",
    "SignUpClosed",
    "SignUpNeeded",
    "SigningUnavailable",
    "TooManyInvitations",
    "TooManyServiceTokens",
    "UnknownPasskey",
    "UsernameTaken",
    "ValidationFailed",
]


class FieldCode(StrEnum):
    """The code of a `FieldError`, and its ``meaning`` in one line."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> Self:
        """Make a member of a code and its meaning."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    REQUIRED = "required", "the field is missing"
    UNKNOWN_FIELD = "unknown_field", "there is no such field"
    WRONG_TYPE = "wrong_type", "the value has another JSON type"
    NOT_ALLOWED = (
        "not_allowed",
        "the value has the right type, but is not permitted: a character, an invalid `cursor`",
    )
    TOO_SHORT = "too_short", "the value has too few characters"
    TOO_LONG = "too_long", "the value has too many characters"
    MIXED_SCRIPTS = (
        "mixed_scripts",
        "the user name mixes scripts that are not usually mixed, such as Latin and Cyrillic",
    )
    INVALID_ADDRESS = "invalid_address", "the text is not an e-mail address, or not one to mail to"
    RESERVED = "reserved", "the user name is kept for the operator, or looks like one that is"
    TOO_COMMON = (
        "too_common",
        "the password is a common one, or made of common words, sequences and repetitions",
    )
    CONTAINS_USERNAME = "contains_username", "the password contains the user name"


class FieldError(Struct, frozen=True, kw_only=True):
    """What is wrong with a field: ``code`` for programs, ``message`` for people."""

    field: Annotated[str, Meta(description="The name of the field.")]
    code: FieldCode
    message: Annotated[str, Meta(description="What is wrong with it, for people.")]


class InvalidField(ValueError):
    """A value breaks a rule. The caller, which knows the field's name, makes it a `FieldError`."""

    def __init__(self, code: FieldCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def of(self, field: str) -> FieldError:
        """Return the error of the field with this name."""
        return FieldError(field=field, code=self.code, message=self.message)


class AuthError(Exception):
    """Base class of authentication errors; ``message`` is shown by the command line."""

    code: ClassVar[str]
    message: ClassVar[str]

    def __str__(self) -> str:
        return super().__str__() or self.message


class ValidationFailed(AuthError):
    """Fields are invalid; ``errors`` lists all of them."""

    code = "validation_failed"
    message = "Some fields are invalid."

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(", ".join(f"{error.field}: {error.code}" for error in errors))
        self.errors = list(errors)


class InvalidCredentials(AuthError):
    """What is to prove a user is wrong; clients must not learn which part of it."""

    code = "invalid_credentials"
    message = "Incorrect username or password"


class AccountNotProven(InvalidCredentials):
    """A provider has not proven the account that it was to prove."""

    message = "The provider has not proven the account."


class AccountDisabled(AuthError):
    """The user, who gave all proofs that a log-in asks for, is disabled."""

    code = "account_disabled"
    message = "This account is disabled."


class SignUpClosed(AuthError):
    """Nobody signs up by themselves: the operator creates users, or invites them."""

    code = "sign_up_closed"
    message = "Sign-up is closed."


class InvalidInvitation(AuthError):
    """The invitation is missing, unknown, expired, used, withdrawn or for another address."""

    code = "invalid_invitation"
    message = "The invitation is not valid."


class InvalidServiceToken(AuthError):
    """The request carries no service token that may be used; clients must not learn why."""

    code = "invalid_service_token"
    message = "There is no valid service token."


class TooManyInvitations(AuthError):
    """So many invitations wait to be accepted that no other is made."""

    code = "too_many_invitations"
    message = "Too many invitations are outstanding."


class InsufficientScope(AuthError):
    """The service token lacks the scope that the request needs."""

    code = "insufficient_scope"
    message = "The service token lacks a scope."

    def __init__(self, scope: Scope) -> None:
        super().__init__(f"the service token lacks the scope {scope}")
        self.scope = scope


class PreconditionFailed(AuthError):
    """The user was changed since the version that ``If-Match`` names."""

    code = "precondition_failed"
    message = "It was changed meanwhile."


class NotAuthenticated(AuthError):
    """The request carries no token of a live session."""

    code = "not_authenticated"
    message = "Not logged in."


class ReauthenticationRequired(AuthError):
    """The user of the session has to reauthenticate, by one of ``methods``.

    ``max_age`` is how old a proof may be, in seconds; ``None`` if the method is what is missing.
    """

    code = "reauthentication_required"
    message = "Reauthenticate."

    def __init__(self, methods: Sequence[str], max_age: int | None) -> None:
        super().__init__(
            "the user was proven by another method"
            if max_age is None
            else f"the last proof is older than {max_age} s"
        )
        self.methods = list(methods)
        self.max_age = max_age


class InsufficientRole(AuthError):
    """The user has none of the roles that are needed."""

    code = "insufficient_role"
    message = "The user has none of the roles that are needed."


class SecondFactorRequired(AuthError):
    """The first proof was right, and no session is open: one of ``methods`` has to complete it.

    ``passkey_options`` are for `navigator.credentials.get`, if the user has a passkey.
    """

    code = "second_factor_required"
    message = "A second factor is required."

    def __init__(
        self,
        *,
        challenge_token: str,
        methods: Sequence[str],
        passkey_options: dict[str, Any] | None,
        expires_at: datetime,
    ) -> None:
        super().__init__()
        self.challenge_token = challenge_token
        self.methods = list(methods)
        self.passkey_options = passkey_options
        self.expires_at = expires_at


class ProviderRefused(AuthError):
    """A provider has answered with an error, or the user has refused there; ``error`` names it."""

    code = "provider_refused"
    message = "The provider has refused."

    def __init__(self, error: str) -> None:
        super().__init__(f"the provider answered with {error}")
        self.error = error


class ProviderUnavailable(AuthError):
    """A provider does not answer in time, or not as it must; the log says why."""

    code = "provider_unavailable"
    message = "The provider is unavailable."


class SignUpNeeded(AuthError):
    """Nobody has linked the account at a provider that was proven: who signs up with it does.

    ``email`` and ``name`` are what the provider suggests.
    """

    code = "sign_up_needed"
    message = "No user has linked this account."

    def __init__(
        self, *, challenge_token: str, email: str | None, name: str | None, expires_at: datetime
    ) -> None:
        super().__init__()
        self.challenge_token = challenge_token
        self.email = email
        self.name = name
        self.expires_at = expires_at


class IdentityTaken(AuthError):
    """Another user has linked that account at a provider. Only who has that account learns this."""

    code = "identity_taken"
    message = "The account is linked to another user."


class UnknownPasskey(AuthError):
    """No user has a passkey with that credential id, which tells nothing about users."""

    code = "unknown_passkey"
    message = "The passkey is unknown."


class NoFactor(AuthError):
    """The user has no such factor, or no authenticator app that waits to be confirmed."""

    code = "no_factor"
    message = "There is no such factor."


class AlreadySetUp(AuthError):
    """The user already has an authenticator app, or the passkey is already registered."""

    code = "already_set_up"
    message = "It is already set up."


class AlreadyAuthenticated(AuthError):
    """Sign-up with a live session."""

    code = "already_authenticated"
    message = "Already logged in."


class UsernameTaken(AuthError):
    """Another user has that user name, in this or another spelling."""

    code = "username_taken"
    message = "Username already taken"


class EmailTaken(AuthError):
    """Another user has verified that address. Only a user who receives mail at it learns this."""

    code = "email_taken"
    message = "E-mail address already taken"


class LastWayIn(AuthError):
    """Too few ways to log in would be left (see `ways_in`)."""

    code = "last_way_in"
    message = "This is the last way to log in."


class Overloaded(AuthError):
    """The hashing queue is full, or a password waited too long in it; nothing was changed."""

    code = "overloaded"
    message = "Too many passwords are waiting to be hashed."


class RateLimited(AuthError):
    """No attempts are left; the next one is allowed in ``retry_after`` seconds."""

    code = "rate_limited"
    message = "Too many attempts."

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the next attempt is allowed in {retry_after} s")
        self.retry_after = retry_after


class NoSuchResource(AuthError):
    """The user has no such resource."""

    code = "not_found"
    message = "The user has no such resource."


class NoSuchSession(NoSuchResource):
    """The user has no live session with that id."""

    message = "The user has no live session with that id."


class NoSuchPasskey(NoSuchResource):
    """The user has no passkey with that id."""

    message = "The user has no passkey with that id."


class NoSuchIdentity(NoSuchResource):
    """The user has no identity with that id."""

    message = "The user has no identity with that id."


class NoSuchProvider(NoSuchResource):
    """There is no provider with that name in the settings."""

    message = "There is no provider with that name."


class NoSuchInvitation(NoSuchResource):
    """There is no outstanding invitation with that id."""

    message = "There is no outstanding invitation with that id."


class NoSuchFactor(NoSuchResource):
    """A user has no such factor."""

    message = "The user has no such factor."


class NoSuchKey(AuthError):
    """The user has no key of that provider and name."""

    code = "no_such_key"
    message = "The user has no such key."


class KeyTaken(AuthError):
    """There is a key of that provider and name already."""

    code = "key_taken"
    message = "There is such a key already."


class LastKey(AuthError):
    """Without this key its user could no longer log in."""

    code = "last_key"
    message = "This is the last key by which its user can log in."


class NoKeyForPassword(AuthError):
    """The user has no key by which a password could log in."""

    code = "no_key_for_password"
    message = "The user has neither user name nor e-mail address, so no password can log them in."


class NoSuchMail(AuthError):
    """There is no dead letter with that id."""

    code = "no_such_mail"
    message = "There is no dead letter with that id."


class NoSuchUser(NoSuchResource):
    """There is no user with that name or id."""

    message = "There is no user with that name or id."


class NoSuchServiceToken(AuthError):
    """There is no service token with that name or id."""

    code = "no_such_service_token"
    message = "There is no service token with that name or id."


class ServiceTokenNameTaken(AuthError):
    """There is a service token with that name, perhaps one that has expired."""

    code = "service_token_name_taken"
    message = "There is a service token with that name: revoke it first, or take another name."


class TooManyServiceTokens(AuthError):
    """There are as many service tokens as there may be."""

    code = "too_many_service_tokens"
    message = "There are 1,000 service tokens: revoke some first."


class HashingUnavailable(AuthError):
    """No hash process works, so log-in is unavailable."""

    code = "hashing_unavailable"
    message = "The hash processes died."


class Draining(AuthError):
    """The service is about to stop, so that no new request should be sent to it."""

    code = "draining"
    message = "The service is about to stop."


class InvalidCode(AuthError):
    """The code is wrong, and further ones may be tried."""

    code = "invalid_code"
    message = "The code is wrong."


class InvalidChallenge(AuthError):
    """There is no such challenge that could still be answered; clients must not learn why."""

    code = "invalid_challenge"
    message = "The challenge is unknown, expired or void, or was answered already."


class SecretKeyMissing(AuthError):
    """A secret depends on a secret key that the service does not have."""

    code = "secret_key_missing"
    message = "A secret key is missing."

    def __init__(self, key_id: str, sealed_secrets: int | None = None) -> None:
        sealed = "" if sealed_secrets is None else f", which has sealed {sealed_secrets} secrets"
        super().__init__(f"OSTIARY_SECRET_KEYS lacks the key {key_id}{sealed}.")
        self.key_id = key_id


class SecretUnreadable(AuthError):
    """A sealed secret was changed, is that of another row, or was sealed by another key."""

    code = "secret_unreadable"
    message = "A sealed secret cannot be opened: it was changed, or another key has the same id."


class KeyInUse(AuthError):
    """What a secret key has sealed is forgotten only once the key is gone."""

    code = "key_in_use"
    message = "The key is in OSTIARY_SECRET_KEYS: `ostiary secret-key reseal` moves its secrets."


class SigningUnavailable(AuthError):
    """No access token can be signed: the signing key cannot be opened; the log says why."""

    code = "signing_unavailable"
    message = "The signing key cannot be opened."


class RotationUnderWay(AuthError):
    """There is a signing key already that is published, and does not sign yet."""

    code = "rotation_under_way"
    message = "A key waits to sign already: `ostiary signing-key list` says from when."
