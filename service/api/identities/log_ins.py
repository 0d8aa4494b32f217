"""The endpoints of log-in and sign-up by accounts at OpenID providers."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, Response, post
from litestar.datastructures import State
from litestar.params import JSONBody
from msgspec import UNSET

from service.api.devices import presented_device
from service.api.http.json_body import StrictJSON, require_json_body
from service.api.http.json_response import JSONResponse
from service.api.http.problem_types import (
    ACCOUNT_DISABLED,
    ALREADY_AUTHENTICATED,
    DATABASE_UNAVAILABLE,
    IDENTITY_TAKEN,
    INVALID_CHALLENGE,
    INVALID_CREDENTIALS,
    INVALID_INVITATION,
    NOT_FOUND,
    OVERLOADED,
    PROVIDER_REFUSED,
    PROVIDER_UNAVAILABLE,
    RATE_LIMITED,
    SECOND_FACTOR_REQUIRED,
    SIGN_UP_CLOSED,
    SIGN_UP_NEEDED,
    USERNAME_TAKEN,
)
from service.api.http.request_context import ProvidedContext
from service.api.http.responses import BODY_PROBLEMS, LOCATION, SETS_COOKIE, problem_responses
from service.api.http.state import state_of
from service.api.identities.flow_secrets import held_secrets, secret_for
from service.api.identities.path_parameters import ProviderName
from service.api.identities.responses import SETS_FLOW_COOKIE
from service.api.identities.schemas import (
    BeginFlowRequest,
    BegunFlow,
    IdTokenRequest,
    LogInCallbackRequest,
    SignUpByIdentityRequest,
    begun_flow,
)
from service.api.schemas import Authenticated
from service.api.security.cross_origin import reject_cross_origin
from service.api.tokens import carried_tokens, issue_token
from service.auth.identities.flow_states import FlowPurpose
from service.model.request_context import RequestContext

AnyRequest = Request[Any, Any, State]

ANSWER_PROBLEMS = (
    *BODY_PROBLEMS,
    PROVIDER_REFUSED,
    INVALID_CHALLENGE,
    INVALID_CREDENTIALS,
    SECOND_FACTOR_REQUIRED,
    ACCOUNT_DISABLED,
    SIGN_UP_NEEDED,
    SIGN_UP_CLOSED,
    NOT_FOUND,
    RATE_LIMITED,
    OVERLOADED,
    PROVIDER_UNAVAILABLE,
    DATABASE_UNAVAILABLE,
)


class IdentityLogInController(Controller):
    """Log-in and sign-up by accounts at OpenID providers."""

    path = "/"
    tags = ("Account",)

    @post(
        "/login/oidc/{provider:str}",
        status_code=200,
        guards=[reject_cross_origin],
        before_request=require_json_body,
        dto=StrictJSON[BeginFlowRequest],
        return_dto=None,
        operation_id="beginLogInAtProvider",
        summary="Begin a log-in at a provider",
        response_headers=[SETS_FLOW_COOKIE],
        response_description="The URL to open.",
        responses=problem_responses(
            *BODY_PROBLEMS, NOT_FOUND, PROVIDER_UNAVAILABLE, DATABASE_UNAVAILABLE
        ),
    )
    async def begin_log_in(
        self, request: AnyRequest, provider: ProviderName, data: JSONBody[BeginFlowRequest]
    ) -> BegunFlow:
        """Return the URL at which the user logs in at a provider.

        The provider sends the user back to the redirect URI, whose page or app sends the parameters
        to `POST /login/oidc/{provider}/callback`.
        """
        secret = secret_for(request, data)
        issued, url = await state_of(request).services.identities.flows.begin(
            provider, FlowPurpose.LOG_IN, data.redirect_uri, secret
        )
        return begun_flow(issued, url, secret)

    @post(
        "/login/oidc/{provider:str}/callback",
        status_code=200,
        guards=[reject_cross_origin],
        before_request=require_json_body,
        dto=StrictJSON[LogInCallbackRequest],
        return_dto=None,
        operation_id="logInAtProvider",
        summary="Log in with the answer of a provider",
        response_headers=[SETS_COOKIE],
        response_description="The user is logged in.",
        responses=problem_responses(*ANSWER_PROBLEMS),
    )
    async def log_in(
        self,
        request: AnyRequest,
        provider: ProviderName,
        data: JSONBody[LogInCallbackRequest],
        context: ProvidedContext,
    ) -> Authenticated:
        """Open a session for the user who has linked the account that the provider has proven.

        The live sessions that the request carries end. Nobody is ever found by an e-mail address:
        an account that no user has linked is answered with `sign_up_needed`. A user with a factor
        is asked for it, as after a password. An answer counts once.
        """
        return await _log_in(request, provider, data, context)

    @post(
        "/login/oidc/{provider:str}/id-token",
        status_code=200,
        guards=[reject_cross_origin],
        before_request=require_json_body,
        dto=StrictJSON[IdTokenRequest],
        return_dto=None,
        operation_id="logInByIdToken",
        summary="Log in with an ID token",
        response_headers=[SETS_COOKIE],
        response_description="The user is logged in.",
        responses=problem_responses(*ANSWER_PROBLEMS),
    )
    async def log_in_by_id_token(
        self,
        request: AnyRequest,
        provider: ProviderName,
        data: JSONBody[IdTokenRequest],
        context: ProvidedContext,
    ) -> Authenticated:
        """Open a session by an ID token, which the SDK of a provider has given to a native app.

        The app gives the `nonce` of `POST /login/oidc/{provider}` to the SDK. All else is as with
        the callback.
        """
        return await _log_in(request, provider, data, context)

    @post(
        "/signup/oidc",
        guards=[reject_cross_origin],
        before_request=require_json_body,
        dto=StrictJSON[SignUpByIdentityRequest],
        return_dto=None,
        operation_id="signUpByIdentity",
        summary="Sign up with an account at a provider",
        response_headers=[SETS_COOKIE, LOCATION],
        response_description="The user is created, with the account linked, and logged in.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            SIGN_UP_CLOSED,
            INVALID_INVITATION,
            INVALID_CHALLENGE,
            IDENTITY_TAKEN,
            USERNAME_TAKEN,
            ALREADY_AUTHENTICATED,
            RATE_LIMITED,
            OVERLOADED,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def sign_up(
        self,
        request: AnyRequest,
        data: JSONBody[SignUpByIdentityRequest],
        context: ProvidedContext,
    ) -> Response[Authenticated]:
        """Create a user who logs in with the account that was proven.

        The user has no e-mail address, whatever the provider has suggested: `PUT /me/email` sets
        one.
        """
        opened = await state_of(request).services.identities.sign_ups.sign_up(
            data.challenge_token,
            None if data.username is UNSET else data.username,
            context=context.with_device_name(data.device_name),
            invitation=data.invitation,
            carried=carried_tokens(request),
            device=presented_device(request, data.device_token),
        )
        body = issue_token(request, opened, data.transport)
        return JSONResponse(body, status_code=201, headers={"Location": "/me"})


async def _log_in(
    request: AnyRequest,
    provider: str,
    data: LogInCallbackRequest | IdTokenRequest,
    context: RequestContext,
) -> Authenticated:
    """Open a session by the answer of a provider."""
    opened = await state_of(request).services.identities.log_ins.log_in(
        provider,
        data.answer,
        held=held_secrets(request, data.flow_secret),
        transport=data.transport,
        context=context.with_device_name(data.device_name),
        carried=carried_tokens(request),
        device=presented_device(request, data.device_token),
    )
    return issue_token(request, opened, data.transport)
