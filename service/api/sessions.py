"""The endpoints of a user's sessions: one for each device."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, Response, delete, get
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter, QueryParameter

from service.api.http.cursors import cursor_after, parse_cursor, require_one_cursor
from service.api.http.ids import parse_id
from service.api.http.litestar_workarounds import options_response
from service.api.http.problem_types import (
    DATABASE_UNAVAILABLE,
    NOT_AUTHENTICATED,
    NOT_FOUND,
    ORIGIN_REJECTED,
    REAUTHENTICATION_REQUIRED,
    VALIDATION_FAILED,
)
from service.api.http.request_context import ProvidedContext
from service.api.http.responses import (
    CLEARS_OR_RENEWS_COOKIE,
    RENEWS_COOKIE,
    SESSION_SECURITY,
    problem_responses,
)
from service.api.http.state import state_of
from service.api.schemas import Ended, SessionPage, listed_session_info
from service.api.security.cross_origin import reject_cross_origin
from service.api.security.guard import AuthenticatedRequest, require_session
from service.api.security.step_up import require_step_up
from service.api.tokens import clear_session_cookie
from service.auth.errors import NoSuchSession

PAGE_LENGTH = 100


class SessionController(Controller):
    """List sessions, end one, end all others."""

    path = "/sessions"
    tags = ("Sessions",)
    security = SESSION_SECURITY

    @HTTPRouteHandler("/", http_method=HttpMethod.OPTIONS, status_code=204, include_in_schema=False)
    # The name has to sort first: see `options_response`.
    async def a_list_of_methods(self) -> Response[None]:
        """Answer OPTIONS /sessions."""
        return options_response("DELETE", "GET")

    @get(
        guards=[require_session],
        operation_id="listSessions",
        summary="List sessions",
        response_headers=[RENEWS_COOKIE],
        response_description="The live sessions, newest first.",
        responses=problem_responses(VALIDATION_FAILED, NOT_AUTHENTICATED, DATABASE_UNAVAILABLE),
    )
    async def list_sessions(
        self,
        request: AuthenticatedRequest,
        cursor: Annotated[
            str | None, QueryParameter(description="`next` of the page before this one.")
        ] = None,
    ) -> SessionPage:
        """List the user's live sessions, newest first, a hundred on a page."""
        live = request.auth.live
        require_one_cursor(request)
        older_than = None if cursor is None else parse_cursor(cursor)
        sessions = state_of(request).services.sessions
        listed = await sessions.list(live.user.id, PAGE_LENGTH + 1, older_than)
        page = listed[:PAGE_LENGTH]
        last = page[-1].session if len(listed) > PAGE_LENGTH else None
        return SessionPage(
            sessions=[listed_session_info(each, current=live.session.id) for each in page],
            next=None if last is None else cursor_after(last.created_at, last.id),
        )

    @delete(
        "/{session_id:str}",
        guards=[reject_cross_origin, require_session],
        operation_id="endSession",
        summary="End a session",
        response_headers=[CLEARS_OR_RENEWS_COOKIE],
        response_description="The session has ended.",
        responses=problem_responses(
            NOT_AUTHENTICATED,
            REAUTHENTICATION_REQUIRED,
            ORIGIN_REJECTED,
            NOT_FOUND,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def end_session(
        self,
        request: AuthenticatedRequest,
        session_id: Annotated[str, PathParameter(format="uuid", description="The session's `id`.")],
        context: ProvidedContext,
    ) -> None:
        """End one of the user's sessions. The session of another user is not found.

        For another session than that of the request it needs step-up.
        """
        live = request.auth.live
        services, ended = state_of(request).services, parse_id(session_id, NoSuchSession)
        if ended != live.session.id:
            await services.step_up.require(live)
        await services.sessions.end_one(ended, live.user.id, context)
        if ended == live.session.id:
            clear_session_cookie(request)

    @delete(
        status_code=200,
        guards=[reject_cross_origin, require_session, require_step_up],
        operation_id="endOtherSessions",
        summary="End all other sessions",
        response_headers=[RENEWS_COOKIE],
        response_description="All other sessions have ended.",
        responses=problem_responses(
            NOT_AUTHENTICATED, REAUTHENTICATION_REQUIRED, ORIGIN_REJECTED, DATABASE_UNAVAILABLE
        ),
    )
    async def end_other_sessions(
        self, request: AuthenticatedRequest, context: ProvidedContext
    ) -> Ended:
        """End all of the user's sessions but this one. Needs step-up."""
        sessions = state_of(request).services.sessions
        return Ended(ended=await sessions.end_others(request.auth.live.session, context))
