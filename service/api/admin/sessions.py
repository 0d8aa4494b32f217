"""The endpoints of the sessions of a user, for other programs."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, Response, delete, get
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter, QueryParameter
from msgspec import Meta, Struct

from service.api.admin.users import PATH, UserId
from service.api.http.cursors import cursor_after, parse_cursor, require_one_cursor
from service.api.http.ids import parse_id
from service.api.http.litestar_workarounds import options_response
from service.api.http.problem_types import NOT_FOUND, VALIDATION_FAILED
from service.api.http.request_context import ProvidedContext
from service.api.http.responses import PROGRAM_PROBLEMS, PROGRAM_SECURITY, problem_responses
from service.api.http.state import state_of
from service.api.schemas import Ended, UserSessionInfo, user_session_info
from service.api.security.service_token import ProgramRequest, require_scope
from service.api.sessions import PAGE_LENGTH
from service.auth.errors import NoSuchSession, NoSuchUser
from service.model.service_tokens import Scope


class UserSessionPage(Struct, frozen=True, kw_only=True):
    """Sessions, newest first. ``next`` is the ``cursor`` of the next page, if there is one."""

    sessions: Annotated[list[UserSessionInfo], Meta(description="At most 100 sessions.")]
    next: Annotated[
        str | None, Meta(description="`cursor` of the next page; null on the last one.")
    ]


class UserSessionController(Controller):
    """List the sessions of a user, end one, end all."""

    path = f"{PATH}/{{user_id:str}}/sessions"
    tags = ("Programs",)
    security = PROGRAM_SECURITY

    @HTTPRouteHandler("/", http_method=HttpMethod.OPTIONS, status_code=204, include_in_schema=False)
    # The name has to sort first: see `options_response`.
    async def a_list_of_methods(self, user_id: UserId) -> Response[None]:
        """Answer OPTIONS /admin/users/{id}/sessions."""
        return options_response("DELETE", "GET")

    @get(
        guards=[require_scope(Scope.SESSIONS_READ)],
        operation_id="listUserSessions",
        summary="List the sessions of a user",
        response_description="The live sessions, newest first.",
        responses=problem_responses(VALIDATION_FAILED, *PROGRAM_PROBLEMS, NOT_FOUND),
    )
    async def list_sessions(
        self,
        request: ProgramRequest,
        user_id: UserId,
        context: ProvidedContext,
        cursor: Annotated[
            str | None, QueryParameter(description="`next` of the page before this one.")
        ] = None,
    ) -> UserSessionPage:
        """List the live sessions of a user, newest first, a hundred on a page.

        Needs the scope `sessions:read`.
        """
        require_one_cursor(request)
        older_than = None if cursor is None else parse_cursor(cursor)
        sessions = state_of(request).services.session_admin
        page, is_followed = await sessions.read(
            parse_id(user_id, NoSuchUser), PAGE_LENGTH, older_than, context
        )
        last = page[-1].session if is_followed else None
        return UserSessionPage(
            sessions=[user_session_info(each) for each in page],
            next=None if last is None else cursor_after(last.created_at, last.id),
        )

    @delete(
        status_code=200,
        guards=[require_scope(Scope.SESSIONS_WRITE)],
        operation_id="endUserSessions",
        summary="End all sessions of a user",
        response_description="All sessions have ended.",
        responses=problem_responses(*PROGRAM_PROBLEMS, NOT_FOUND),
    )
    async def end_sessions(
        self, request: ProgramRequest, user_id: UserId, context: ProvidedContext
    ) -> Ended:
        """End all sessions of a user. Needs the scope `sessions:write`."""
        sessions = state_of(request).services.session_admin
        return Ended(ended=await sessions.end_all(parse_id(user_id, NoSuchUser), context))

    @delete(
        "/{session_id:str}",
        guards=[require_scope(Scope.SESSIONS_WRITE)],
        operation_id="endUserSession",
        summary="End a session of a user",
        response_description="The session has ended.",
        responses=problem_responses(*PROGRAM_PROBLEMS, NOT_FOUND),
    )
    async def end_session(
        self,
        request: ProgramRequest,
        user_id: UserId,
        session_id: Annotated[str, PathParameter(description="The session's `id`.")],
        context: ProvidedContext,
    ) -> None:
        """End a session of a user. Needs the scope `sessions:write`."""
        sessions = state_of(request).services.session_admin
        await sessions.end_one(
            parse_id(session_id, NoSuchSession), parse_id(user_id, NoSuchUser), context
        )
