"""The life of a session: found, renewed when idle, ended."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.audit import Event, record
from service.auth.errors import InvalidCredentials, NoSuchSession, NotAuthenticated
from service.auth.tokens import Token
from service.model import (
    Caller,
    Device,
    FoundSession,
    Key,
    ListedSession,
    Session,
    SessionPeriods,
    SessionState,
    User,
)
from service.storage import sessions as storage
from service.storage.database import Database
from service.storage.session_lookups import SessionLookups


class LiveSession(Struct, frozen=True, kw_only=True):
    """A session whose token was shown. ``renewed`` tells that this very request renewed it."""

    session: Session
    user: User
    renewed: bool = False


class OpenedSession(Struct, frozen=True, kw_only=True):
    """A session that was just made, with the token that nobody will see again."""

    session: Session
    user: User
    token: Token


class Sessions:
    """Sessions in ``database``, which live for ``periods``."""

    def __init__(
        self, database: Database, lookups: SessionLookups, periods: SessionPeriods
    ) -> None:
        self._database = database
        self._lookups = lookups
        self._periods = periods

    async def authenticate(self, token: Token) -> LiveSession:
        """Find the live session of a token, and renew it if it is idle.

        Raises `NotAuthenticated`, whether the session is dead, never was, or is another's.
        """
        found = await self.find(token)
        if found is None:
            raise NotAuthenticated
        if found.state is SessionState.ACTIVE:
            return LiveSession(session=found.session, user=found.user)
        return await self._renew(token, found.user)

    async def find(self, token: Token) -> FoundSession | None:
        """Find the live session of a token, and leave it as it is."""
        found = await self._lookups.find(token.session_id)
        return found if found is not None and token.opens(found.secret_hash) else None

    async def open(
        self, connection: AsyncConnection, key: Key, device: Device, replaces: Token | None = None
    ) -> OpenedSession:
        """Make a session for the owner of ``key``, in place of the one that ``replaces`` opens.

        Raises `InvalidCredentials` if the key went or got another password since it was read.
        """
        token = Token.issue()
        session = await storage.open_session(
            connection,
            session_id=token.session_id,
            secret_hash=token.secret_hash,
            key=key,
            device=device,
            periods=self._periods,
            replaced_id=replaces.session_id if replaces else None,
            replaced_hash=replaces.secret_hash if replaces else None,
        )
        if session is None:
            raise InvalidCredentials
        return OpenedSession(session=session, user=key.user, token=token)

    async def list(
        self, user_id: UUID, how_many: int, older_than: tuple[datetime, UUID] | None = None
    ) -> list[ListedSession]:
        """The live sessions of a user, newest first; ``older_than`` ends the page before."""
        async with self._database.connect() as connection:
            return await storage.list_sessions(connection, user_id, how_many, older_than)

    async def end_one(self, session_id: UUID, user_id: UUID, caller: Caller) -> None:
        """End a live session of that user. Raises `NoSuchSession` if it is none, or another's."""
        async with self._database.connect() as connection:
            if not await storage.end_session_of_user(connection, session_id, user_id):
                raise NoSuchSession
        record(Event.SESSION_REVOKED, caller, user_id=user_id, session_id=session_id)

    async def end_others(self, kept: Session, caller: Caller) -> int:
        """End all live sessions of a user but one; tell how many that were."""
        async with self._database.connect() as connection:
            ended = await storage.end_other_sessions(connection, kept.user_id, kept.id)
        event = Event.OTHER_SESSIONS_REVOKED
        record(event, caller, user_id=kept.user_id, session_id=kept.id, ended=ended)
        return ended

    async def keep_only(self, connection: AsyncConnection, live: LiveSession) -> OpenedSession:
        """End all sessions of a user but one, and have a new token open that one.

        Raises `NotAuthenticated` if it ended meanwhile.
        """
        token = Token.issue(live.session.id)
        await storage.end_other_sessions(connection, live.user.id, live.session.id)
        session = await storage.change_secret(connection, live.session.id, token.secret_hash)
        if session is None:
            raise NotAuthenticated
        return OpenedSession(session=session, user=live.user, token=token)

    async def end(self, session: Session, caller: Caller) -> None:
        """End the session; from here on its token opens nothing, in any process."""
        async with self._database.connect() as connection:
            await storage.end_session(connection, session.id)
        record(Event.LOGGED_OUT, caller, user_id=session.user_id, session_id=session.id)

    async def _renew(self, token: Token, user: User) -> LiveSession:
        async with self._database.connect() as connection:
            renewed = await storage.renew_session(connection, token.session_id, self._periods)
        if renewed is not None:
            return LiveSession(session=renewed, user=user, renewed=True)
        renewed_by_another = await self.find(token)
        if renewed_by_another is None:
            raise NotAuthenticated
        return LiveSession(session=renewed_by_another.session, user=user)
