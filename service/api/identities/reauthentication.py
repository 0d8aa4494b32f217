"""The endpoints by which users reauthenticate at OpenID providers."""

from __future__ import annotations

from litestar import Controller, post
from litestar.params import JSONBody

from service.api.http.json_body import StrictJSON, require_json_body
from service.api.http.problem_types import (
    DATABASE_UNAVAILABLE,
    INVALID_CHALLENGE,
    INVALID_CREDENTIALS,
    NOT_AUTHENTICATED,
    NOT_FOUND,
    OVERLOADED,
    PROVIDER_REFUSED,
    PROVIDER_UNAVAILABLE,
    RATE_LIMITED,
    REAUTHENTICATION_REQUIRED,
)
from service.api.http.request_context import ProvidedContext
from service.api.http.responses import (
    BODY_PROBLEMS,
    SESSION_SECURITY,
    SETS_COOKIE,
    problem_responses,
)
from service.api.http.state import state_of
from service.api.identities.flow_secrets import held_secrets, secret_for
from service.api.identities.path_parameters import ProviderName
from service.api.identities.responses import SETS_FLOW_COOKIE
from service.api.identities.schemas import (
    BeginFlowRequest,
    BegunFlow,
    CallbackRequest,
    begun_flow,
)
from service.api.schemas import Authenticated
from service.api.security.cross_origin import reject_cross_origin
from service.api.security.guard import AuthenticatedRequest, require_session
from service.api.tokens import issue_token


class IdentityReauthenticationController(Controller):
    """Reauthentication at a provider, for users whom nothing else proves better."""

    path = "/me/reauthenticate/oidc"
    tags = ("Identities",)
    security = SESSION_SECURITY

    @post(
        "/{provider:str}",
        status_code=200,
        guards=[reject_cross_origin, require_session],
        before_request=require_json_body,
        dto=StrictJSON[BeginFlowRequest],
        return_dto=None,
        operation_id="beginReauthenticationAtProvider",
        summary="Begin to reauthenticate at a provider",
        response_headers=[SETS_FLOW_COOKIE],
        response_description="The URL to open.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            NOT_AUTHENTICATED,
            REAUTHENTICATION_REQUIRED,
            NOT_FOUND,
            PROVIDER_UNAVAILABLE,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def begin_reauthentication(
        self,
        request: AuthenticatedRequest,
        provider: ProviderName,
        data: JSONBody[BeginFlowRequest],
    ) -> BegunFlow:
        """Return the URL at which the provider authenticates its user anew.

        Only where `oidc:` and the provider's name is one of the `methods` of
        `POST /me/reauthenticate/options`.
        """
        secret = secret_for(request, data)
        issued, url = await state_of(request).services.identities.reauthentication.begin(
            provider, data.redirect_uri, secret, request.auth.live
        )
        return begun_flow(issued, url, secret)

    @post(
        "/{provider:str}/callback",
        status_code=200,
        guards=[reject_cross_origin, require_session],
        before_request=require_json_body,
        dto=StrictJSON[CallbackRequest],
        return_dto=None,
        operation_id="reauthenticateAtProvider",
        summary="Reauthenticate with the answer of a provider",
        response_headers=[SETS_COOKIE],
        response_description="The user is authenticated, and the session has a new token.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            PROVIDER_REFUSED,
            INVALID_CHALLENGE,
            INVALID_CREDENTIALS,
            NOT_AUTHENTICATED,
            REAUTHENTICATION_REQUIRED,
            NOT_FOUND,
            RATE_LIMITED,
            OVERLOADED,
            PROVIDER_UNAVAILABLE,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def reauthenticate(
        self,
        request: AuthenticatedRequest,
        provider: ProviderName,
        data: JSONBody[CallbackRequest],
        context: ProvidedContext,
    ) -> Authenticated:
        """Authenticate the user of the session again, for requests that need step-up.

        The account has to be one that the user has linked. A provider that says when it has
        authenticated its user must have done so since the flow began.
        """
        opened = await state_of(request).services.identities.reauthentication.complete(
            provider,
            data.answer,
            live=request.auth.live,
            held=held_secrets(request, data.flow_secret),
            context=context,
        )
        return issue_token(request, opened, request.auth.transport)
