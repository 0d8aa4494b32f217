"""The endpoints by which an account begins, is used and ends."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, Response, delete, post, put
from litestar.datastructures import State
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from msgspec import UNSET

from service.api.devices import presented_device
from service.api.http.json_body import (
    StrictJSON,
    receive_optional_json_body,
    require_json_body,
)
from service.api.http.json_response import JSONResponse
from service.api.http.litestar_workarounds import FastRoute, options_response
from service.api.http.problem_types import (
    ACCOUNT_DISABLED,
    ALREADY_AUTHENTICATED,
    DATABASE_UNAVAILABLE,
    INVALID_CREDENTIALS,
    INVALID_INVITATION,
    LAST_WAY_IN,
    NOT_AUTHENTICATED,
    ORIGIN_REJECTED,
    OVERLOADED,
    RATE_LIMITED,
    REAUTHENTICATION_REQUIRED,
    SECOND_FACTOR_REQUIRED,
    SIGN_UP_CLOSED,
    USERNAME_TAKEN,
)
from service.api.http.request_context import ProvidedContext
from service.api.http.responses import (
    BODY_PROBLEMS,
    CLEARS_COOKIE,
    LOCATION,
    RENEWS_COOKIE,
    SESSION_SECURITY,
    SETS_COOKIE,
    problem_responses,
)
from service.api.http.state import state_of
from service.api.schemas import (
    Authenticated,
    ChangePasswordRequest,
    DeleteMeRequest,
    LogInRequest,
    SignUpRequest,
    authenticated,
)
from service.api.security.cross_origin import reject_cross_origin
from service.api.security.guard import AuthenticatedRequest, require_session
from service.api.security.step_up import require_step_up
from service.api.tokens import (
    carried_tokens,
    clear_carried_cookie,
    clear_session_cookie,
    issue_token,
)

AnyRequest = Request[Any, Any, State]


class AccountController(Controller):
    """Sign-up, log-in, log-out, the user of the session, password and deletion."""

    path = "/"
    tags = ("Account",)

    @post(
        "/signup",
        guards=[reject_cross_origin],
        before_request=require_json_body,
        dto=StrictJSON[SignUpRequest],
        return_dto=None,
        operation_id="signUp",
        summary="Sign up",
        response_headers=[SETS_COOKIE, LOCATION],
        response_description="The user is created and logged in.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            SIGN_UP_CLOSED,
            INVALID_INVITATION,
            USERNAME_TAKEN,
            ALREADY_AUTHENTICATED,
            RATE_LIMITED,
            OVERLOADED,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def sign_up(
        self, request: AnyRequest, data: JSONBody[SignUpRequest], context: ProvidedContext
    ) -> Response[Authenticated]:
        """Create a user with a user name and a password, and log them in."""
        opened = await state_of(request).services.accounts.sign_up(
            data.credentials,
            context=context.with_device_name(data.device_name),
            invitation=data.invitation,
            carried=carried_tokens(request),
            device=presented_device(request, data.device_token),
        )
        body = issue_token(request, opened, data.transport)
        return JSONResponse(body, status_code=201, headers={"Location": "/me"})

    @FastRoute(
        "/login",
        http_method=HttpMethod.POST,
        status_code=200,
        guards=[reject_cross_origin],
        before_request=require_json_body,
        dto=StrictJSON[LogInRequest],
        return_dto=None,
        operation_id="logIn",
        summary="Log in",
        response_headers=[SETS_COOKIE],
        response_description="The user is logged in.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            INVALID_CREDENTIALS,
            ACCOUNT_DISABLED,
            SECOND_FACTOR_REQUIRED,
            RATE_LIMITED,
            OVERLOADED,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def log_in(
        self, request: AnyRequest, data: JSONBody[LogInRequest], context: ProvidedContext
    ) -> Authenticated:
        """Open a session. The live sessions that the request carries end.

        For a user with a factor the right password opens none: `POST /login/second-factor` does.
        """
        opened = await state_of(request).services.accounts.log_in(
            data.username,
            data.password,
            context=context.with_device_name(data.device_name),
            transport=data.transport,
            carried=carried_tokens(request),
            device=presented_device(request, data.device_token),
        )
        return issue_token(request, opened, data.transport)

    @HTTPRouteHandler(
        "/me", http_method=HttpMethod.OPTIONS, status_code=204, include_in_schema=False
    )
    # The name has to sort first: see `options_response`.
    async def a_list_of_methods(self) -> Response[None]:
        """Answer OPTIONS /me."""
        return options_response("DELETE", "GET")

    @HTTPRouteHandler(
        "/me/password", http_method=HttpMethod.OPTIONS, status_code=204, include_in_schema=False
    )
    async def a_list_of_methods_of_the_password(self) -> Response[None]:
        """Answer OPTIONS /me/password."""
        return options_response("DELETE", "PUT")

    @FastRoute(
        "/me",
        http_method=HttpMethod.GET,
        guards=[require_session],
        security=SESSION_SECURITY,
        operation_id="getMe",
        summary="Get the current user",
        response_headers=[RENEWS_COOKIE],
        response_description="The user and the session of the request.",
        responses=problem_responses(NOT_AUTHENTICATED, DATABASE_UNAVAILABLE),
    )
    async def get_me(self, request: AuthenticatedRequest) -> Authenticated:
        """Return the user of the session."""
        live = request.auth.live
        return authenticated(live.user, live.session, fresh=live.renewed)

    @put(
        "/me/password",
        guards=[reject_cross_origin, require_session],
        before_request=require_json_body,
        dto=StrictJSON[ChangePasswordRequest],
        return_dto=None,
        security=SESSION_SECURITY,
        operation_id="changePassword",
        summary="Change the password",
        response_headers=[SETS_COOKIE],
        response_description="The password is changed, and this session has a new token.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            INVALID_CREDENTIALS,
            NOT_AUTHENTICATED,
            REAUTHENTICATION_REQUIRED,
            RATE_LIMITED,
            OVERLOADED,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def change_password(
        self,
        request: AuthenticatedRequest,
        data: JSONBody[ChangePasswordRequest],
        context: ProvidedContext,
    ) -> Authenticated:
        """Change the password. All other sessions end, and this one gets a new token.

        A user without a password leaves `current_password` out: to set a first one needs step-up.
        For a user with a factor every change needs it.
        """
        services, live, new = state_of(request).services, request.auth.live, data.new_password
        if data.current_password is UNSET:
            opened = await services.first_passwords.set(live, new, context)
        else:
            await services.step_up.require_of_factor(live)
            accounts = services.accounts
            opened = await accounts.change_password(live, data.current_password, new, context)
        return issue_token(request, opened, request.auth.transport)

    @delete(
        "/me/password",
        guards=[reject_cross_origin, require_session, require_step_up],
        security=SESSION_SECURITY,
        operation_id="removePassword",
        summary="Remove the password",
        response_headers=[RENEWS_COOKIE],
        response_description="The user has no password.",
        responses=problem_responses(
            ORIGIN_REJECTED,
            NOT_AUTHENTICATED,
            REAUTHENTICATION_REQUIRED,
            LAST_WAY_IN,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def remove_password(
        self, request: AuthenticatedRequest, context: ProvidedContext
    ) -> None:
        """Remove the password: from now on the user logs in by passkey only.

        The user must have a passkey, and another one or a verified address. Other sessions that the
        password has proven end. Needs step-up.
        """
        await state_of(request).services.password_removals.remove(request.auth.live, context)

    @post(
        "/logout",
        status_code=204,
        guards=[reject_cross_origin],
        security=SESSION_SECURITY,
        operation_id="logOut",
        summary="Log out",
        response_headers=[CLEARS_COOKIE],
        response_description="The sessions have ended.",
        responses=problem_responses(NOT_AUTHENTICATED, ORIGIN_REJECTED, DATABASE_UNAVAILABLE),
    )
    async def log_out(self, request: AnyRequest, context: ProvidedContext) -> None:
        """End every live session that the request carries, before the response is sent.

        Without one the answer is 401.
        """
        await state_of(request).services.sessions.log_out(carried_tokens(request), context)
        clear_carried_cookie(request)

    @delete(
        "/me",
        guards=[reject_cross_origin, require_session],
        before_request=receive_optional_json_body,
        dto=StrictJSON[DeleteMeRequest],
        return_dto=None,
        security=SESSION_SECURITY,
        operation_id="deleteMe",
        summary="Delete the account",
        response_headers=[CLEARS_COOKIE],
        response_description="The user, their keys and their sessions are deleted.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            INVALID_CREDENTIALS,
            NOT_AUTHENTICATED,
            REAUTHENTICATION_REQUIRED,
            RATE_LIMITED,
            OVERLOADED,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def delete_me(
        self,
        request: AuthenticatedRequest,
        context: ProvidedContext,
        data: JSONBody[DeleteMeRequest | None] = None,
    ) -> None:
        """Delete the user with all keys and sessions; the user name is held for a while.

        Without the password in the body it needs step-up, and with a factor in any case.
        """
        services, live = state_of(request).services, request.auth.live
        if data is None:
            await services.step_up.require(live)
            await services.accounts.delete_proven(live, context)
        else:
            await services.step_up.require_of_factor(live)
            await services.accounts.delete(live, data.password, context)
        clear_session_cookie(request)
