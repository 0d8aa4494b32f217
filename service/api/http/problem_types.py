"""Problem types: every error that the API answers with, each defined in one place.

A new error is one `ProblemType` here. The mapping from exceptions, the descriptions in the OpenAPI
document and the table in `docs/errors.md` are made from it.
"""

from __future__ import annotations

from msgspec import Struct

from service.api.http.errors import (
    BodyTimeout,
    HostRejected,
    InvalidRequest,
    MalformedJSON,
    OriginRejected,
    PreflightRejected,
    UnsupportedMediaType,
)
from service.auth import errors

MAX_BODY_SIZE = 16 * 1024


class ProblemType(Struct, frozen=True, kw_only=True):
    """A type of error (RFC 9457).

    ``when`` is for the documents, ``detail`` for the client. ``covers_status``: it is also the
    problem of exceptions of the framework that have its status. ``is_logged``: each is, as a
    warning, unless there are too many.
    """

    code: str
    status: int
    title: str
    detail: str
    when: str
    raised_as: type[Exception] | None = None
    covers_status: bool = False
    is_logged: bool = False
    headers: dict[str, str] = {}

    @property
    def urn(self) -> str:
        """The ``type`` of its problems."""
        return "urn:ostiary:problem:" + self.code.replace("_", "-")


CHALLENGE = {"WWW-Authenticate": "Bearer"}
RETRY_SOON = {"Retry-After": "1"}
CLOSE = {"Connection": "close"}

MALFORMED_JSON = ProblemType(
    code="malformed_json",
    raised_as=MalformedJSON,
    status=400,
    title="Malformed JSON",
    detail="The body is not a JSON document.",
    when="the body is not JSON, nests too deeply, has duplicate members or an unpaired surrogate",
)
VALIDATION_FAILED = ProblemType(
    code=errors.ValidationFailed.code,
    raised_as=errors.ValidationFailed,
    status=400,
    title="Validation failed",
    detail="Some fields are invalid; `errors` lists all of them.",
    when="fields are invalid; `errors` lists all of them",
)
BAD_REQUEST = ProblemType(
    code="bad_request",
    raised_as=InvalidRequest,
    covers_status=True,
    status=400,
    title="Bad request",
    detail="The request is not valid HTTP.",
    when="the request is not valid HTTP: without `Host`, with two of it or of `Content-Type`, "
    "with invalid chunked encoding for example",
)
HOST_REJECTED = ProblemType(
    code="host_rejected",
    raised_as=HostRejected,
    is_logged=True,
    status=400,
    title="Host rejected",
    detail="The service does not answer to this `Host`; see OSTIARY_ALLOWED_HOSTS.",
    when="the service does not answer to the name in `Host`; see `OSTIARY_ALLOWED_HOSTS`",
)
INVALID_CREDENTIALS = ProblemType(
    code=errors.InvalidCredentials.code,
    raised_as=errors.InvalidCredentials,
    status=401,
    title="Invalid credentials",
    detail=errors.InvalidCredentials.message,
    when="the user name, the address, the password, what a passkey has signed or what a provider "
    "has answered is wrong; the response does not reveal which",
    headers=CHALLENGE,
)
SECOND_FACTOR_REQUIRED = ProblemType(
    code=errors.SecondFactorRequired.code,
    raised_as=errors.SecondFactorRequired,
    status=401,
    title="Second factor required",
    detail="Complete the log-in by one of `methods`: `POST /login/second-factor`.",
    when="the first proof was right, and the user has a factor: no session is open, and `POST "
    "/login/second-factor` with `challenge_token` opens it",
    headers=CHALLENGE,
)
PROVIDER_REFUSED = ProblemType(
    code=errors.ProviderRefused.code,
    raised_as=errors.ProviderRefused,
    status=400,
    title="Provider refused",
    detail="The provider has answered with an error, which `error` names.",
    when="the provider has answered with an error, for example `access_denied`: the user has "
    "cancelled, or refused; `error` names it. Begin anew",
)
UNKNOWN_PASSKEY = ProblemType(
    code=errors.UnknownPasskey.code,
    raised_as=errors.UnknownPasskey,
    status=401,
    title="Unknown passkey",
    detail=errors.UnknownPasskey.message,
    when="no user has a passkey with that credential id: `signalUnknownCredential` may be called; "
    "for whatever else is wrong with a passkey it is `invalid_credentials`",
    headers=CHALLENGE,
)
NOT_AUTHENTICATED = ProblemType(
    code=errors.NotAuthenticated.code,
    raised_as=errors.NotAuthenticated,
    status=401,
    title="Not authenticated",
    detail="Not logged in, or the session has ended.",
    when="there is no live session",
    headers=CHALLENGE,
)
REAUTHENTICATION_REQUIRED = ProblemType(
    code=errors.ReauthenticationRequired.code,
    raised_as=errors.ReauthenticationRequired,
    status=401,
    title="Reauthentication required",
    detail="Reauthenticate by one of `methods`: `POST /me/reauthenticate`, or, at a provider, "
    "`POST /me/reauthenticate/oidc/{provider}`.",
    when="the user last authenticated longer ago than `OSTIARY_REAUTHENTICATION_PERIOD`, or longer "
    "ago or by other methods than a policy of `/verify` asks for: `POST /me/reauthenticate` by one "
    "of `methods`, or `POST /me/reauthenticate/oidc/{provider}` for `oidc:` and a provider's name; "
    "then try again",
)
INVALID_CODE = ProblemType(
    code=errors.InvalidCode.code,
    raised_as=errors.InvalidCode,
    status=401,
    title="Invalid code",
    detail=errors.InvalidCode.message,
    when="the code is wrong; the fifth wrong one is `invalid_challenge`",
    headers=CHALLENGE,
)
INVALID_CHALLENGE = ProblemType(
    code=errors.InvalidChallenge.code,
    raised_as=errors.InvalidChallenge,
    status=401,
    title="Invalid challenge",
    detail="The challenge cannot be answered: begin again.",
    when="the challenge is unknown or void, has expired or was answered, is for another purpose or "
    "session, or got its fifth wrong code; the response does not reveal which",
    headers=CHALLENGE,
)
INVALID_SERVICE_TOKEN = ProblemType(
    code=errors.InvalidServiceToken.code,
    raised_as=errors.InvalidServiceToken,
    is_logged=True,
    status=401,
    title="Invalid service token",
    detail=errors.InvalidServiceToken.message,
    when="the request of a program has no service token, or one that is malformed, unknown, "
    "revoked, expired or suspended; the response does not reveal which, the log does",
    headers=CHALLENGE,
)
ACCOUNT_DISABLED = ProblemType(
    code=errors.AccountDisabled.code,
    raised_as=errors.AccountDisabled,
    status=403,
    title="Account disabled",
    detail=errors.AccountDisabled.message,
    when="the user was proven by all that a log-in asks for, and is disabled",
)
SIGN_UP_CLOSED = ProblemType(
    code=errors.SignUpClosed.code,
    raised_as=errors.SignUpClosed,
    status=403,
    title="Sign-up closed",
    detail=errors.SignUpClosed.message,
    when="sign-up is closed; see `OSTIARY_SIGN_UP`",
)
INVALID_INVITATION = ProblemType(
    code=errors.InvalidInvitation.code,
    raised_as=errors.InvalidInvitation,
    status=403,
    title="Invalid invitation",
    detail=errors.InvalidInvitation.message,
    when="the invitation is missing, unknown, expired, used, withdrawn or for another address; the "
    "response does not reveal which",
)
INSUFFICIENT_SCOPE = ProblemType(
    code=errors.InsufficientScope.code,
    raised_as=errors.InsufficientScope,
    is_logged=True,
    status=403,
    title="Insufficient scope",
    detail="The service token lacks the scope that this request needs.",
    when="the service token lacks the scope that the request needs",
)
ORIGIN_REJECTED = ProblemType(
    code="origin_rejected",
    raised_as=OriginRejected,
    is_logged=True,
    status=403,
    title="Origin rejected",
    detail="Pages of this origin may not send this request.",
    when="a browser sends an unsafe method, or a preflight, from an origin that is not allowed; "
    "with `/verify`, to the application behind it",
)
INSUFFICIENT_ROLE = ProblemType(
    code=errors.InsufficientRole.code,
    raised_as=errors.InsufficientRole,
    status=403,
    title="Insufficient role",
    detail="The user has none of the roles that are needed.",
    when="the user has none of the roles that a policy of `/verify` asks for",
)
PREFLIGHT_REJECTED = ProblemType(
    code="preflight_rejected",
    raised_as=PreflightRejected,
    is_logged=True,
    status=403,
    title="Preflight rejected",
    detail="The method or a header of the request is not allowed.",
    when="a page of an allowed origin wants to send a method or a header that is not allowed; "
    "see `OSTIARY_CORS_ALLOWED_HEADERS`",
)
NOT_FOUND = ProblemType(
    code=errors.NoSuchResource.code,
    raised_as=errors.NoSuchResource,
    covers_status=True,
    status=404,
    title="Not found",
    detail="There is no such resource.",
    when="there is no such path or resource, the user has no such resource, or the service has no "
    "mail, no passkeys or no access tokens, and the request needs them",
)
METHOD_NOT_ALLOWED = ProblemType(
    code="method_not_allowed",
    covers_status=True,
    status=405,
    title="Method not allowed",
    detail="This method is not allowed here; `Allow` lists those that are.",
    when="the path exists, but not with this method; see `Allow`",
)
REQUEST_TIMEOUT = ProblemType(
    code="request_timeout",
    raised_as=BodyTimeout,
    status=408,
    title="Request timeout",
    detail="The body was not received in time.",
    when="the body was not received in time",
    headers=CLOSE,
)
USERNAME_TAKEN = ProblemType(
    code=errors.UsernameTaken.code,
    raised_as=errors.UsernameTaken,
    status=409,
    title="Username taken",
    detail=errors.UsernameTaken.message,
    when="another user has that user name, in this or another spelling, or gave it up recently",
)
EMAIL_TAKEN = ProblemType(
    code=errors.EmailTaken.code,
    raised_as=errors.EmailTaken,
    status=409,
    title="E-mail address taken",
    detail=errors.EmailTaken.message,
    when="another user has verified that address",
)
TOO_MANY_INVITATIONS = ProblemType(
    code=errors.TooManyInvitations.code,
    raised_as=errors.TooManyInvitations,
    status=409,
    title="Too many invitations",
    detail="Too many invitations are outstanding: withdraw some, or wait until they expire.",
    when="10,000 invitations are outstanding",
)
IDENTITY_TAKEN = ProblemType(
    code=errors.IdentityTaken.code,
    raised_as=errors.IdentityTaken,
    status=409,
    title="Identity taken",
    detail=errors.IdentityTaken.message,
    when="another user has linked that account at the provider",
)
SIGN_UP_NEEDED = ProblemType(
    code=errors.SignUpNeeded.code,
    raised_as=errors.SignUpNeeded,
    status=409,
    title="Sign-up needed",
    detail="No user has linked this account: `POST /signup/oidc` creates one.",
    when="no user has linked the account that the provider has proven: `POST /signup/oidc` creates "
    "one, with `challenge_token`",
)
LAST_WAY_IN = ProblemType(
    code=errors.LastWayIn.code,
    raised_as=errors.LastWayIn,
    status=409,
    title="Last way in",
    detail="Add another way to log in first: without this one, too few would be left.",
    when="without the address, the passkey or the password the user could no longer log in, or, "
    "without a password, would depend on a single passkey",
)
NO_FACTOR = ProblemType(
    code=errors.NoFactor.code,
    raised_as=errors.NoFactor,
    status=409,
    title="No factor",
    detail="You have no such factor: set one up first.",
    when="the user has no such factor, or no authenticator app waits to be confirmed",
)
ALREADY_SET_UP = ProblemType(
    code=errors.AlreadySetUp.code,
    raised_as=errors.AlreadySetUp,
    status=409,
    title="Already set up",
    detail="It is already set up: to replace it, remove it first.",
    when="the user has an authenticator app already, or the passkey is there already",
)
NO_KEY_FOR_PASSWORD = ProblemType(
    code=errors.NoKeyForPassword.code,
    raised_as=errors.NoKeyForPassword,
    status=409,
    title="No key for a password",
    detail=errors.NoKeyForPassword.message,
    when="a program asks for a reset link of a user who has neither user name nor address",
)
ALREADY_AUTHENTICATED = ProblemType(
    code=errors.AlreadyAuthenticated.code,
    raised_as=errors.AlreadyAuthenticated,
    status=409,
    title="Already authenticated",
    detail="Log out before you sign up.",
    when="sign-up with a live session",
)
PRECONDITION_FAILED = ProblemType(
    code=errors.PreconditionFailed.code,
    raised_as=errors.PreconditionFailed,
    status=412,
    title="Precondition failed",
    detail="It was changed since the version in `If-Match`: read it again.",
    when="the user was changed since the version in `If-Match`",
)
PAYLOAD_TOO_LARGE = ProblemType(
    code="payload_too_large",
    covers_status=True,
    status=413,
    title="Payload too large",
    detail="The body is larger than 16 KiB.",
    when="the body is larger than 16 KiB",
)
UNSUPPORTED_MEDIA_TYPE = ProblemType(
    code="unsupported_media_type",
    raised_as=UnsupportedMediaType,
    status=415,
    title="Unsupported media type",
    detail="The body must be application/json, without a content coding.",
    when="the body is neither `application/json` nor, where that is accepted, a merge patch or a "
    "form; or it is compressed",
)
RATE_LIMITED = ProblemType(
    code=errors.RateLimited.code,
    raised_as=errors.RateLimited,
    status=429,
    title="Rate limited",
    detail="Too many attempts; try again after the number of seconds in `Retry-After`.",
    when="too many attempts; `Retry-After` says in how many seconds the next one is allowed",
)
INTERNAL_ERROR = ProblemType(
    code="internal_error",
    status=500,
    title="Internal error",
    detail="An unexpected error occurred; the log has the details under the request id.",
    when="an unexpected error; the log has the details under the `request_id`",
)
PROVIDER_UNAVAILABLE = ProblemType(
    code=errors.ProviderUnavailable.code,
    raised_as=errors.ProviderUnavailable,
    status=503,
    title="Provider unavailable",
    detail="The provider does not answer as it should. Try again soon.",
    when="an OpenID provider does not answer within 5 seconds, or not as it must, or refuses the "
    "service; the log says why. Begin anew after `Retry-After`",
    headers={"Retry-After": "5"},
)
OVERLOADED = ProblemType(
    code=errors.Overloaded.code,
    raised_as=errors.Overloaded,
    is_logged=True,
    status=503,
    title="Overloaded",
    detail="Too many passwords are waiting to be hashed; nothing was changed.",
    when="too many passwords are waiting to be hashed; nothing was changed",
    headers=RETRY_SOON,
)
DATABASE_UNAVAILABLE = ProblemType(
    code="database_unavailable",
    raised_as=errors.DatabaseUnavailable,
    is_logged=True,
    status=503,
    title="Database unavailable",
    detail="The database does not answer; it is unknown whether anything was changed.",
    when="the database does not answer in time, or takes no writes; it is unknown whether anything "
    "was changed",
    headers=RETRY_SOON,
)
SIGNING_UNAVAILABLE = ProblemType(
    code=errors.SigningUnavailable.code,
    raised_as=errors.SigningUnavailable,
    status=503,
    title="Signing unavailable",
    detail="The key that signs access tokens cannot be opened; the operator has to see to it.",
    when="the key that signs access tokens cannot be opened, for a secret key is missing",
    headers=RETRY_SOON,
)
SCHEMA_BEHIND = ProblemType(
    code=errors.SchemaBehind.code,
    raised_as=errors.SchemaBehind,
    is_logged=True,
    status=503,
    title="Schema behind",
    detail="The database lacks migrations; run `ostiary migrate`.",
    when="the database lacks migrations of this version",
    headers=RETRY_SOON,
)
HASHING_UNAVAILABLE = ProblemType(
    code=errors.HashingUnavailable.code,
    raised_as=errors.HashingUnavailable,
    is_logged=True,
    status=503,
    title="Hashing unavailable",
    detail="No hash process works; log-in is unavailable.",
    when="no hash process works, so log-in is unavailable (`GET /readyz` only)",
    headers=RETRY_SOON,
)
DRAINING = ProblemType(
    code=errors.Draining.code,
    raised_as=errors.Draining,
    status=503,
    title="Draining",
    detail="The service is about to stop; send requests elsewhere.",
    when="the service is about to stop, and still answers all other requests (`GET /readyz` only)",
    headers=RETRY_SOON,
)

PROBLEM_TYPES = tuple(each for each in list(globals().values()) if isinstance(each, ProblemType))


def field_codes_table() -> str:
    """Return the codes of field errors as a Markdown table."""
    rows = ["| code | meaning |", "| --- | --- |"]
    rows += [f"| `{each.value}` | {each.meaning} |" for each in errors.FieldCode]
    return "\n".join(rows)


def problems_table() -> str:
    """Return the problem types as a Markdown table."""
    rows = ["| status | code | when |", "| --- | --- | --- |"]
    rows += [f"| {each.status} | `{each.code}` | {each.when} |" for each in PROBLEM_TYPES]
    return "\n".join(rows)
