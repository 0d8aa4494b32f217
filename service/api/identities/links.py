"""The endpoints of a user's identities: the accounts at OpenID providers that log them in."""

from __future__ import annotations

from litestar import Controller, Response, delete, get, post
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from service.api.http.ids import parse_id
from service.api.http.json_body import StrictJSON, require_json_body
from service.api.http.litestar_workarounds import options_response
from service.api.http.problem_types import (
    DATABASE_UNAVAILABLE,
    IDENTITY_TAKEN,
    INVALID_CHALLENGE,
    INVALID_CREDENTIALS,
    LAST_WAY_IN,
    NOT_AUTHENTICATED,
    NOT_FOUND,
    ORIGIN_REJECTED,
    OVERLOADED,
    PROVIDER_REFUSED,
    PROVIDER_UNAVAILABLE,
    RATE_LIMITED,
    REAUTHENTICATION_REQUIRED,
)
from service.api.http.request_context import ProvidedContext
from service.api.http.responses import (
    BODY_PROBLEMS,
    RENEWS_COOKIE,
    SESSION_SECURITY,
    problem_responses,
)
from service.api.http.state import state_of
from service.api.identities.flow_secrets import held_secrets, secret_for
from service.api.identities.path_parameters import IdentityId, ProviderName
from service.api.identities.responses import SETS_FLOW_COOKIE
from service.api.identities.schemas import (
    BeginFlowRequest,
    BegunFlow,
    CallbackRequest,
    IdentityInfo,
    IdentityList,
    begun_flow,
    identity_info,
)
from service.api.security.cross_origin import reject_cross_origin
from service.api.security.guard import AuthenticatedRequest, require_session
from service.api.security.step_up import require_step_up
from service.auth.errors import NoSuchIdentity
from service.auth.identities.flow_states import FlowPurpose


class IdentityController(Controller):
    """List identities, link and unlink them."""

    # In OpenAPI a part of a path has one name for all methods: `identity` is the name of a provider
    # where an account is linked, and the id of an identity where it is unlinked.

    path = "/me/identities"
    tags = ("Identities",)
    security = SESSION_SECURITY

    @HTTPRouteHandler(
        "/{identity:str}",
        http_method=HttpMethod.OPTIONS,
        status_code=204,
        include_in_schema=False,
    )
    # The name has to sort first: see `options_response`.
    async def a_list_of_methods(self) -> Response[None]:
        """Answer OPTIONS /me/identities/{identity}."""
        return options_response("DELETE", "POST")

    @get(
        guards=[require_session],
        operation_id="listIdentities",
        summary="List identities",
        response_headers=[RENEWS_COOKIE],
        response_description="The accounts at providers that log the user in.",
        responses=problem_responses(NOT_AUTHENTICATED, DATABASE_UNAVAILABLE),
    )
    async def list_identities(self, request: AuthenticatedRequest) -> IdentityList:
        """List the accounts at providers that the user has linked."""
        identities = state_of(request).services.identities
        listed = await identities.links.list(request.auth.live.user.id)
        names_of = identities.providers.names_of
        return IdentityList(
            identities=[identity_info(each, names_of(each.issuer)) for each in listed]
        )

    @post(
        "/{identity:str}",
        status_code=200,
        guards=[reject_cross_origin, require_session, require_step_up],
        before_request=require_json_body,
        dto=StrictJSON[BeginFlowRequest],
        return_dto=None,
        operation_id="beginLinking",
        summary="Begin to link an account at a provider",
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
    async def begin_linking(
        self,
        request: AuthenticatedRequest,
        identity: ProviderName,
        data: JSONBody[BeginFlowRequest],
    ) -> BegunFlow:
        """Return the URL at which the user logs in at a provider, to link that account.

        Only this session completes it. Needs step-up.
        """
        secret = secret_for(request, data)
        issued, url = await state_of(request).services.identities.flows.begin(
            identity, FlowPurpose.LINK, data.redirect_uri, secret, request.auth.live
        )
        return begun_flow(issued, url, secret)

    @post(
        "/{identity:str}/callback",
        status_code=200,
        guards=[reject_cross_origin, require_session, require_step_up],
        before_request=require_json_body,
        dto=StrictJSON[CallbackRequest],
        return_dto=None,
        operation_id="linkIdentity",
        summary="Link an account at a provider",
        response_headers=[RENEWS_COOKIE],
        response_description="The account is linked.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            PROVIDER_REFUSED,
            INVALID_CHALLENGE,
            INVALID_CREDENTIALS,
            NOT_AUTHENTICATED,
            REAUTHENTICATION_REQUIRED,
            IDENTITY_TAKEN,
            NOT_FOUND,
            RATE_LIMITED,
            OVERLOADED,
            PROVIDER_UNAVAILABLE,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def link_identity(
        self,
        request: AuthenticatedRequest,
        identity: ProviderName,
        data: JSONBody[CallbackRequest],
        context: ProvidedContext,
    ) -> IdentityInfo:
        """Link the account that the provider has proven, in the session that began the flow.

        The user is notified, with a link that takes it back. Needs step-up.
        """
        identities = state_of(request).services.identities
        linked = await identities.links.link(
            identity,
            data.answer,
            live=request.auth.live,
            held=held_secrets(request, data.flow_secret),
            context=context,
        )
        return identity_info(linked, identities.providers.names_of(linked.issuer))

    @delete(
        "/{identity:str}",
        guards=[reject_cross_origin, require_session, require_step_up],
        operation_id="unlinkIdentity",
        summary="Unlink an account at a provider",
        response_headers=[RENEWS_COOKIE],
        response_description="The account no longer logs the user in.",
        responses=problem_responses(
            ORIGIN_REJECTED,
            NOT_AUTHENTICATED,
            REAUTHENTICATION_REQUIRED,
            LAST_WAY_IN,
            NOT_FOUND,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def unlink_identity(
        self, request: AuthenticatedRequest, identity: IdentityId, context: ProvidedContext
    ) -> None:
        """Remove an identity. Other sessions that its provider has proven end. Needs step-up."""
        identity_id = parse_id(identity, NoSuchIdentity)
        links = state_of(request).services.identities.links
        await links.unlink(request.auth.live, identity_id, context)
