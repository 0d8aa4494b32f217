"""Sessions of users, for operators and other programs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

from service.auth.audit import OPERATOR, Event, record
from service.auth.errors import NoSuchUser
from service.auth.sessions import Sessions
from service.model.request_context import RequestContext
from service.model.sessions import ListedSession
from service.storage import session_endings
from service.storage import sessions as storage
from service.storage import users as user_storage
from service.storage.database import Database

PAGE_LENGTH = 1000

# How many sessions are ended at a time, when all are.
SESSIONS_PER_BATCH = 10_000


class SessionAdmin:
    """The sessions of the users in ``database``."""

    def __init__(self, database: Database, sessions: Sessions) -> None:
        self._database = database
        self._sessions = sessions

    async def read(
        self,
        user_id: UUID,
        limit: int,
        older_than: tuple[datetime, UUID] | None,
        context: RequestContext,
    ) -> tuple[list[ListedSession], bool]:
        """Return a page of a user's live sessions, newest first, and whether another one follows.

        It is recorded. Raises `NoSuchUser`.
        """
        await self._require_user(user_id)
        found = await self._sessions.list(user_id, limit + 1, older_than)
        page = found[:limit]
        record(Event.SESSIONS_READ, context, user_id=user_id, number=len(page))
        return page, len(found) > limit

    async def end_one(self, session_id: UUID, user_id: UUID, context: RequestContext) -> None:
        """End a live session of a user. Raises `NoSuchSession` if there is none."""
        await self._sessions.end_one(session_id, user_id, context)

    async def end_all(self, user_id: UUID, context: RequestContext) -> int:
        """End all live sessions of a user. Returns how many. Raises `NoSuchUser`."""
        await self._require_user(user_id)
        async with self._database.connect() as connection:
            ended = await session_endings.end_all_sessions(connection, user_id)
        record(Event.ALL_SESSIONS_REVOKED, context, user_id=user_id, ended=ended)
        return ended

    async def end_those_of_all(self) -> int:
        """End all sessions of all users, a batch at a time. Returns how many."""
        ended, batch = 0, SESSIONS_PER_BATCH
        while batch:
            async with self._database.connect() as connection:
                batch = await session_endings.end_any_sessions(connection, SESSIONS_PER_BATCH)
            ended += batch
        record(Event.ALL_SESSIONS_REVOKED, OPERATOR, ended=ended)
        return ended

    async def count(self, user_id: UUID) -> int:
        """Return the number of a user's live sessions."""
        async with self._database.connect() as connection:
            return await storage.count_sessions(connection, user_id)

    async def iterate(self, user_id: UUID) -> AsyncIterator[ListedSession]:
        """Iterate over a user's live sessions, newest first, a page at a time."""
        older_than = None
        while True:
            page = await self._sessions.list(user_id, PAGE_LENGTH, older_than)
            for listed in page:
                yield listed
            if len(page) < PAGE_LENGTH:
                return
            older_than = page[-1].session.created_at, page[-1].session.id

    async def _require_user(self, user_id: UUID) -> None:
        if await self._database.with_retry(user_storage.find_user, user_id) is None:
            raise NoSuchUser
