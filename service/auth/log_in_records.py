"""What follows a log-in, whatever has proven the user: the audit trail, the limit, the notice."""

from __future__ import annotations

from service.auth.audit import Event, record
from service.auth.notices import Notices
from service.auth.sessions import OpenedSession, Sessions
from service.model.request_context import RequestContext
from service.model.sessions import InsertedSession


class LogInRecords:
    """Records the log-ins of ``sessions``, and notifies of new devices."""

    def __init__(self, sessions: Sessions, notices: Notices) -> None:
        self._sessions = sessions
        self._notices = notices

    async def complete(
        self,
        opened: OpenedSession,
        inserted: InsertedSession,
        context: RequestContext,
        *,
        is_known_device: bool,
        ended_by_reset: int | None = None,
    ) -> None:
        """Record a session that was opened, and is committed; end those beyond the limit.

        ``ended_by_reset`` is how many sessions ended if the log-in has set a new password. A user
        with a verified address is notified of a device that was not known.
        """
        user, session_id = opened.user, opened.session.id
        details: dict[str, int]
        if ended_by_reset is None:
            event, details = Event.LOGGED_IN, {"known_device": is_known_device}
        else:
            event, details = Event.PASSWORD_RESET, {"ended": ended_by_reset}
        record(event, context, user_id=user.id, session_id=session_id, **details)
        await self._sessions.after_opening(inserted, user.id, context)
        if not is_known_device and user.email_verified_at is not None:
            await self._notices.put_new_device(user.id, context)
