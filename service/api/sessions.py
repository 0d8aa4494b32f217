"""The sessions of a user: on which devices they are logged in, and how to log those out."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, delete, get
from litestar.di import NamedDependency
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter

from service.api.accounts import forget
from service.api.bodies import Ended, ListedSessionInfo, SessionPage
from service.api.callers import GivenCaller
from service.api.credentials import SessionCookie
from service.api.guard import AuthenticatedRequest, require_session
from service.api.operations import (
    CLEARS_COOKIE,
    RENEWS_COOKIE,
    SESSION_SECURITY,
    answer_to_options,
    problem_responses,
)
from service.api.origin_rule import require_known_origin
from service.api.problems import (
    DATABASE_UNAVAILABLE,
    NOT_AUTHENTICATED,
    NOT_FOUND,
    ORIGIN_REJECTED,
    VALIDATION_FAILED,
)
from service.auth.errors import InvalidField, NoSuchSession, ValidationFailed
from service.auth.sessions import Sessions
from service.model import ListedSession

PAGE_LENGTH = 100

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class SessionController(Controller):
    """List, end one, end all others."""

    path = "/sessions"
    tags = ("Sessions",)
    security = SESSION_SECURITY

    @HTTPRouteHandler("/", http_method=HttpMethod.OPTIONS, status_code=204, include_in_schema=False)
    async def a_list_of_methods(self) -> Response[None]:
        return answer_to_options("DELETE", "GET")

    @get(
        guards=[require_session],
        operation_id="listSessions",
        summary="Where am I logged in?",
        response_headers=[RENEWS_COOKIE],
        response_description="The live sessions, newest first.",
        responses=problem_responses(VALIDATION_FAILED, NOT_AUTHENTICATED, DATABASE_UNAVAILABLE),
    )
    async def list_sessions(
        self,
        request: AuthenticatedRequest,
        sessions: NamedDependency[Sessions],
        cursor: Annotated[
            str | None, QueryParameter(description="`next` of the page before this one.")
        ] = None,
    ) -> SessionPage:
        """List the user's live sessions, newest first, a hundred on a page."""
        live = request.auth.live
        older_than = None if cursor is None else parse_cursor(cursor)
        listed = await sessions.list(live.user.id, PAGE_LENGTH + 1, older_than)
        page = listed[:PAGE_LENGTH]
        return SessionPage(
            sessions=[session_info(each, current=live.session.id) for each in page],
            next=cursor_after(page[-1]) if len(listed) > PAGE_LENGTH else None,
        )

    @delete(
        "/{session_id:str}",
        guards=[require_known_origin, require_session],
        operation_id="endSession",
        summary="Log out one device",
        response_headers=[CLEARS_COOKIE],
        response_description="The session has ended.",
        responses=problem_responses(
            NOT_AUTHENTICATED, ORIGIN_REJECTED, NOT_FOUND, DATABASE_UNAVAILABLE
        ),
    )
    async def end_session(
        self,
        request: AuthenticatedRequest,
        session_id: FromPath[str],
        caller: GivenCaller,
        sessions: NamedDependency[Sessions],
        session_cookie: NamedDependency[SessionCookie],
    ) -> None:
        """End one of the user's sessions. One of somebody else's is not found."""
        live = request.auth.live
        ended = parse_session_id(session_id)
        await sessions.end_one(ended, live.user.id, caller)
        if ended == live.session.id:
            forget(request, session_cookie)

    @delete(
        status_code=200,
        guards=[require_known_origin, require_session],
        operation_id="endOtherSessions",
        summary="Log out all other devices",
        response_headers=[RENEWS_COOKIE],
        response_description="All other sessions have ended.",
        responses=problem_responses(NOT_AUTHENTICATED, ORIGIN_REJECTED, DATABASE_UNAVAILABLE),
    )
    async def end_other_sessions(
        self,
        request: AuthenticatedRequest,
        caller: GivenCaller,
        sessions: NamedDependency[Sessions],
    ) -> Ended:
        """End all of the user's sessions but this one."""
        return Ended(ended=await sessions.end_others(request.auth.live.session, caller))


def session_info(listed: ListedSession, current: UUID) -> ListedSessionInfo:
    session, device = listed.session, listed.device
    return ListedSessionInfo(
        id=session.id,
        current=session.id == current,
        state=listed.state,
        user_agent=device.user_agent,
        address=None if device.address is None else str(device.address),
        created_at=session.created_at,
        renewed_at=session.renewed_at,
        active_expires_at=session.active_expires_at,
        idle_expires_at=session.idle_expires_at,
    )


def parse_session_id(text: str) -> UUID:
    """Raises `NoSuchSession` for what is no id at all: it is not told from an unknown one."""
    try:
        return UUID(text)
    except ValueError as error:
        raise NoSuchSession from error


def cursor_after(last: ListedSession) -> str:
    """The place of a session in the list, as 32 characters of base64url."""
    age = (last.session.created_at - EPOCH) // MICROSECOND
    return urlsafe_b64encode(age.to_bytes(8) + last.session.id.bytes).decode()


def parse_cursor(text: str) -> tuple[datetime, UUID]:
    """Raises `ValidationFailed` for what `cursor_after` did not make."""
    try:
        raw = urlsafe_b64decode(text.encode("ascii"))
        return EPOCH + int.from_bytes(raw[:8]) * MICROSECOND, UUID(bytes=raw[8:])
    except (ValueError, OverflowError) as error:
        refused = InvalidField("not_allowed", "Cursor is not the `next` of a page.")
        raise ValidationFailed([refused.of("cursor")]) from error
