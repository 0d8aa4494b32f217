"""Joining, coming back, leaving: the user of a session."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, Response, delete, post, put
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from service.api.bodies import (
    Authenticated,
    ChangePassword,
    Leave,
    LogIn,
    SignUp,
    authenticated,
)
from service.api.callers import GivenCaller
from service.api.credentials import SessionCookie, Transport, credential_of
from service.api.guard import AuthenticatedRequest, require_session
from service.api.json_body import StrictJSON, require_json_body
from service.api.lean_route import LeanRoute
from service.api.operations import (
    BODY_PROBLEMS,
    CLEARS_COOKIE,
    LOCATION,
    RENEWS_COOKIE,
    SESSION_SECURITY,
    SETS_COOKIE,
    answer_to_options,
    problem_responses,
)
from service.api.origin_rule import require_known_origin
from service.api.problems import (
    ALREADY_AUTHENTICATED,
    DATABASE_UNAVAILABLE,
    INVALID_CREDENTIALS,
    NOT_AUTHENTICATED,
    ORIGIN_REJECTED,
    OVERLOADED,
    RATE_LIMITED,
    USERNAME_TAKEN,
)
from service.auth.accounts import Accounts
from service.auth.sessions import OpenedSession, Sessions
from service.auth.tokens import Token

AnyRequest = Request[Any, Any, State]


class AccountController(Controller):
    """Sign up, log in, who am I, log out; another password; leave for good."""

    path = "/"
    tags = ("Account",)

    @post(
        "/signup",
        guards=[require_known_origin],
        dto=StrictJSON[SignUp],
        return_dto=None,
        before_request=require_json_body,
        operation_id="signUp",
        summary="Sign up",
        response_headers=[SETS_COOKIE, LOCATION],
        response_description="The user was made and is logged in.",
        responses=problem_responses(
            *BODY_PROBLEMS,
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
        data: JSONBody[SignUp],
        caller: GivenCaller,
        accounts: NamedDependency[Accounts],
        session_cookie: NamedDependency[SessionCookie],
    ) -> Response[Authenticated]:
        """Make a user with a user name and a password, and log them in."""
        opened = await accounts.sign_up(
            data.username,
            data.password,
            caller=caller,
            carried=token_carried_by(request, session_cookie),
        )
        answer = hand_over(request, opened, data.transport, session_cookie)
        return Response(answer, status_code=201, headers={"Location": "/me"})

    @post(
        "/login",
        status_code=200,
        guards=[require_known_origin],
        dto=StrictJSON[LogIn],
        return_dto=None,
        before_request=require_json_body,
        operation_id="logIn",
        summary="Log in",
        response_headers=[SETS_COOKIE],
        response_description="The user is logged in.",
        responses=problem_responses(
            *BODY_PROBLEMS, INVALID_CREDENTIALS, RATE_LIMITED, OVERLOADED, DATABASE_UNAVAILABLE
        ),
    )
    async def log_in(
        self,
        request: AnyRequest,
        data: JSONBody[LogIn],
        caller: GivenCaller,
        accounts: NamedDependency[Accounts],
        session_cookie: NamedDependency[SessionCookie],
    ) -> Authenticated:
        """Open a session. A live one that the request carries ends."""
        opened = await accounts.log_in(
            data.username,
            data.password,
            caller=caller,
            carried=token_carried_by(request, session_cookie),
        )
        return hand_over(request, opened, data.transport, session_cookie)

    @HTTPRouteHandler(
        "/me", http_method=HttpMethod.OPTIONS, status_code=204, include_in_schema=False
    )
    async def a_list_of_methods(self) -> Response[None]:
        return answer_to_options("DELETE", "GET")

    @LeanRoute(
        "/me",
        http_method=HttpMethod.GET,
        guards=[require_session],
        security=SESSION_SECURITY,
        operation_id="getMe",
        summary="Who am I?",
        response_headers=[RENEWS_COOKIE],
        response_description="The session is live, and this is its user.",
        responses=problem_responses(NOT_AUTHENTICATED, DATABASE_UNAVAILABLE),
    )
    async def get_me(self, request: AuthenticatedRequest) -> Authenticated:
        """Tell who the session's user is."""
        live = request.auth.live
        return authenticated(live.user, live.session, fresh=live.renewed)

    @put(
        "/me/password",
        dto=StrictJSON[ChangePassword],
        return_dto=None,
        before_request=require_json_body,
        guards=[require_known_origin, require_session],
        security=SESSION_SECURITY,
        operation_id="changePassword",
        summary="Change the password",
        response_headers=[SETS_COOKIE],
        response_description="The password is changed, and this session has a new token.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            INVALID_CREDENTIALS,
            NOT_AUTHENTICATED,
            RATE_LIMITED,
            OVERLOADED,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def change_password(
        self,
        request: AuthenticatedRequest,
        data: JSONBody[ChangePassword],
        caller: GivenCaller,
        accounts: NamedDependency[Accounts],
        session_cookie: NamedDependency[SessionCookie],
    ) -> Authenticated:
        """Set another password. Every other session ends, and this one gets a new token."""
        opened = await accounts.change_password(
            request.auth.live, data.current_password, data.new_password, caller
        )
        return hand_over(request, opened, request.auth.transport, session_cookie)

    @delete(
        "/me",
        dto=StrictJSON[Leave],
        return_dto=None,
        before_request=require_json_body,
        guards=[require_known_origin, require_session],
        security=SESSION_SECURITY,
        operation_id="deleteMe",
        summary="Leave for good",
        response_headers=[CLEARS_COOKIE],
        response_description="The user, the keys and the sessions are deleted.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            INVALID_CREDENTIALS,
            NOT_AUTHENTICATED,
            RATE_LIMITED,
            OVERLOADED,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def delete_me(
        self,
        request: AuthenticatedRequest,
        data: JSONBody[Leave],
        caller: GivenCaller,
        accounts: NamedDependency[Accounts],
        session_cookie: NamedDependency[SessionCookie],
    ) -> None:
        """Delete the user with all keys and sessions. The user name is free again."""
        await accounts.delete(request.auth.live, data.password, caller)
        forget(request, session_cookie)

    @post(
        "/logout",
        status_code=204,
        guards=[require_known_origin, require_session],
        security=SESSION_SECURITY,
        operation_id="logOut",
        summary="Log out",
        response_headers=[CLEARS_COOKIE],
        response_description="The session has ended.",
        responses=problem_responses(NOT_AUTHENTICATED, ORIGIN_REJECTED, DATABASE_UNAVAILABLE),
    )
    async def log_out(
        self,
        request: AuthenticatedRequest,
        caller: GivenCaller,
        sessions: NamedDependency[Sessions],
        session_cookie: NamedDependency[SessionCookie],
    ) -> None:
        """End the session, in the database, at once."""
        await sessions.end(request.auth.live.session, caller)
        forget(request, session_cookie)


def hand_over(
    request: AnyRequest, opened: OpenedSession, transport: Transport, session_cookie: SessionCookie
) -> Authenticated:
    """Give the token to its holder: in the cookie or in the body, never in both."""
    if transport is Transport.COOKIE:
        session_cookie.set(request.scope, opened.token, opened.session)
        return authenticated(opened.user, opened.session, fresh=True)
    return authenticated(opened.user, opened.session, fresh=True, token=opened.token.text)


def forget(request: AuthenticatedRequest, session_cookie: SessionCookie) -> None:
    """Have the client forget the cookie of a session that ended, if that is how it came."""
    if request.auth.transport is Transport.COOKIE:
        session_cookie.clear(request.scope)


def token_carried_by(request: AnyRequest, session_cookie: SessionCookie) -> Token | None:
    credential = credential_of(request.scope, session_cookie)
    return credential.token if credential is not None else None
