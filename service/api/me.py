"""The endpoints by which users reauthenticate, change the user name, and export the account."""

from __future__ import annotations

from litestar import Controller, get, post, put
from litestar.params import JSONBody
from msgspec import UNSET

from service.api.http.json_body import StrictJSON, require_json_body
from service.api.http.problem_types import (
    DATABASE_UNAVAILABLE,
    INVALID_CHALLENGE,
    INVALID_CODE,
    INVALID_CREDENTIALS,
    NOT_AUTHENTICATED,
    ORIGIN_REJECTED,
    OVERLOADED,
    RATE_LIMITED,
    REAUTHENTICATION_REQUIRED,
    UNKNOWN_PASSKEY,
    USERNAME_TAKEN,
)
from service.api.http.request_context import ProvidedContext
from service.api.http.responses import (
    BODY_PROBLEMS,
    RENEWS_COOKIE,
    SESSION_SECURITY,
    SETS_COOKIE,
    problem_responses,
)
from service.api.http.state import state_of
from service.api.schemas import (
    Authenticated,
    ChangeUsernameRequest,
    ReauthenticateRequest,
    ReauthenticationMethod,
    ReauthenticationOptions,
    authenticated,
    reauthentication_options,
)
from service.api.security.cross_origin import reject_cross_origin
from service.api.security.guard import AuthenticatedRequest, require_session
from service.api.security.step_up import require_step_up
from service.api.tokens import issue_token
from service.auth.codes import Code
from service.auth.errors import InvalidCredentials
from service.model.exports import AccountExport


class MeController(Controller):
    """Reauthentication, change of the user name, export."""

    path = "/me"
    tags = ("Account",)
    security = SESSION_SECURITY

    @post(
        "/reauthenticate/options",
        status_code=200,
        guards=[reject_cross_origin, require_session],
        operation_id="reauthenticationOptions",
        summary="Get the ways to reauthenticate",
        response_headers=[RENEWS_COOKIE],
        response_description="The methods; if `email_code` is one, a code was mailed.",
        responses=problem_responses(
            ORIGIN_REJECTED, NOT_AUTHENTICATED, RATE_LIMITED, DATABASE_UNAVAILABLE
        ),
    )
    async def reauthentication_options(
        self, request: AuthenticatedRequest, context: ProvidedContext
    ) -> ReauthenticationOptions:
        """Return how the user of the session can reauthenticate.

        For a user with a passkey there are options for it. If `email_code` is the method, a code
        was mailed to the verified address.
        """
        options = await state_of(request).services.reauthentication.options(
            request.auth.live, context
        )
        return reauthentication_options(options)

    @post(
        "/reauthenticate",
        status_code=200,
        guards=[reject_cross_origin, require_session],
        before_request=require_json_body,
        dto=StrictJSON[ReauthenticateRequest],
        return_dto=None,
        operation_id="reauthenticate",
        summary="Reauthenticate",
        response_headers=[SETS_COOKIE],
        response_description="The user is authenticated, and the session has a new token.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            INVALID_CREDENTIALS,
            INVALID_CODE,
            INVALID_CHALLENGE,
            UNKNOWN_PASSKEY,
            NOT_AUTHENTICATED,
            RATE_LIMITED,
            OVERLOADED,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def reauthenticate(
        self,
        request: AuthenticatedRequest,
        data: JSONBody[ReauthenticateRequest],
        context: ProvidedContext,
    ) -> Authenticated:
        """Authenticate the user of the session again, for requests that need step-up.

        For a user with a factor only a factor renews step-up; a password is remembered as well.
        """
        services, live = state_of(request).services, request.auth.live
        reauthentication, answer = services.reauthentication, data.factor_answer
        if answer is not None:
            token = data.challenge_token
            opened = await reauthentication.by_factor(live, answer, token, context)
        elif data.method is ReauthenticationMethod.EMAIL_CODE and data.code is not UNSET:
            code = Code.parse(data.code)
            opened = await reauthentication.by_code(live, data.challenge_token, code, context)
        elif data.password is not UNSET:
            opened = await services.accounts.reauthenticate(live, data.password, context)
        else:
            raise InvalidCredentials
        return issue_token(request, opened, request.auth.transport)

    @put(
        "/username",
        guards=[reject_cross_origin, require_session, require_step_up],
        before_request=require_json_body,
        dto=StrictJSON[ChangeUsernameRequest],
        return_dto=None,
        operation_id="changeUsername",
        summary="Change the user name",
        response_headers=[RENEWS_COOKIE],
        response_description="The user has the new name; the former one no longer logs in.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            NOT_AUTHENTICATED,
            REAUTHENTICATION_REQUIRED,
            USERNAME_TAKEN,
            RATE_LIMITED,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def change_username(
        self,
        request: AuthenticatedRequest,
        data: JSONBody[ChangeUsernameRequest],
        context: ProvidedContext,
    ) -> Authenticated:
        """Change the name by which the user logs in, or give them a first one. Needs step-up."""
        live, accounts = request.auth.live, state_of(request).services.accounts
        user = await accounts.rename(live, data.username, context)
        return authenticated(user, live.session, fresh=live.renewed)

    @get(
        "/export",
        guards=[require_session, require_step_up],
        operation_id="exportAccount",
        summary="Export the account",
        response_headers=[RENEWS_COOKIE],
        response_description="Everything that is kept about the user.",
        responses=problem_responses(
            NOT_AUTHENTICATED, REAUTHENTICATION_REQUIRED, RATE_LIMITED, DATABASE_UNAVAILABLE
        ),
    )
    async def export_account(
        self, request: AuthenticatedRequest, context: ProvidedContext
    ) -> AccountExport:
        """Return everything that is kept about the user (GDPR, articles 15 and 20).

        What opens the account is left out. Needs step-up.
        """
        accounts = state_of(request).services.accounts
        return await accounts.export(request.auth.live, context)
