"""The life of a session: opened, found, renewed when idle, ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.audit import Event, record
from service.auth.devices import DeviceToken
from service.auth.errors import InvalidCredentials, NoSuchSession, NotAuthenticated
from service.auth.tokens import Token
from service.model.request_context import Device, RequestContext
from service.model.sessions import FoundSession, ListedSession, Session, SessionState
from service.model.users import Key, User
from service.settings.sessions import SessionSettings
from service.storage import sessions as storage
from service.storage.database import Database
from service.storage.rate_limits import Charge
from service.storage.session_lookups import SessionLookups


class LiveSession(Struct, frozen=True, kw_only=True):
    """A session whose token was presented; ``renewed`` if this very request renewed it."""

    session: Session
    user: User
    renewed: bool = False


class OpenedSession(Struct, frozen=True, kw_only=True):
    """A session that was just opened, with its token, which is stored nowhere.

    ``device`` is the token by which the device is known from now on; ``None`` if that is as before.
    """

    session: Session
    user: User
    token: Token
    device: DeviceToken | None = None


class Sessions:
    """The sessions in ``database``."""

    def __init__(
        self, database: Database, lookups: SessionLookups, settings: SessionSettings
    ) -> None:
        self._database = database
        self._lookups = lookups
        self._settings = settings

    async def authenticate(self, token: Token) -> LiveSession:
        """Return the live session of a token, renewing it if idle. Raises `NotAuthenticated`."""
        found = await self.find(token)
        if found is None:
            raise NotAuthenticated
        if found.state is SessionState.ACTIVE:
            return LiveSession(session=found.session, user=found.user)
        return await self._renew(token, found.user)

    async def find(self, token: Token) -> FoundSession | None:
        """Return the live session of a token, without renewing it."""
        found = await self._lookups.find(token.session_id)
        return found if found is not None and token.matches(found.secret_hash) else None

    async def open(  # noqa: PLR0913
        self,
        connection: AsyncConnection,
        key: Key,
        device: Device,
        *,
        presented: DeviceToken | None = None,
        replaces: Token | None = None,
        settles: Sequence[Charge] = (),
    ) -> OpenedSession:
        """Open a session for the user of ``key``, and end the session whose token is ``replaces``.

        The device is known to the user from now on: by the token that was ``presented``, if it is
        one that was issued and not forgotten, else by a new one. ``settles`` are the charges of the
        attempt. Raises `InvalidCredentials` if the key was removed or its password changed since it
        was read; then nothing happens.
        """
        token, new_device = Token.issue(), DeviceToken.issue()
        opened = await storage.open_session(
            connection,
            session_id=token.session_id,
            secret_hash=token.secret_hash,
            key=key,
            device=device,
            settings=self._settings,
            presented_device=presented.hash if presented else None,
            new_device=new_device.hash,
            replaced_id=replaces.session_id if replaces else None,
            replaced_hash=replaces.secret_hash if replaces else None,
            settles=settles,
        )
        if opened is None:
            raise InvalidCredentials
        session, device_hash = opened
        return OpenedSession(
            session=session,
            user=key.user,
            token=token,
            device=new_device if device_hash == new_device.hash else presented,
        )

    async def list(
        self, user_id: UUID, max_sessions: int, older_than: tuple[datetime, UUID] | None = None
    ) -> list[ListedSession]:
        """Return a page of a user's live sessions, newest first.

        ``older_than`` is the creation time and id of the last session of the page before.
        """
        async with self._database.connect() as connection:
            return await storage.list_sessions(connection, user_id, max_sessions, older_than)

    async def end(self, session: Session, context: RequestContext) -> None:
        """End a session: its token is no longer valid, in any process."""
        async with self._database.connect() as connection:
            await storage.end_session(connection, session.id)
        record(Event.LOGGED_OUT, context, user_id=session.user_id, session_id=session.id)

    async def end_one(self, session_id: UUID, user_id: UUID, context: RequestContext) -> None:
        """End a live session of a user. Raises `NoSuchSession` if the user has none of that id."""
        async with self._database.connect() as connection:
            if not await storage.end_session_of_user(connection, session_id, user_id):
                raise NoSuchSession
        record(Event.SESSION_REVOKED, context, user_id=user_id, session_id=session_id)

    async def end_others(self, kept: Session, context: RequestContext) -> int:
        """End all live sessions of a user but one. Returns how many.

        All devices are forgotten but the one on which that session was opened.
        """
        async with self._database.connect() as connection:
            ended = await storage.end_other_sessions(connection, kept.user_id, kept.id)
        event = Event.OTHER_SESSIONS_REVOKED
        record(event, context, user_id=kept.user_id, session_id=kept.id, ended=ended)
        return ended

    async def keep_only(self, connection: AsyncConnection, live: LiveSession) -> OpenedSession:
        """End all sessions of a user but one, and issue a new token for that one.

        All devices but that one's are forgotten.

        Raises `NotAuthenticated` if it ended meanwhile.
        """
        token = Token.issue(live.session.id)
        await storage.end_other_sessions(connection, live.user.id, live.session.id)
        session = await storage.change_secret(connection, live.session.id, token.secret_hash)
        if session is None:
            raise NotAuthenticated
        return OpenedSession(session=session, user=live.user, token=token)

    async def _renew(self, token: Token, user: User) -> LiveSession:
        async with self._database.connect() as connection:
            renewed = await storage.renew_session(connection, token.session_id, self._settings)
        if renewed is not None:
            return LiveSession(session=renewed, user=user, renewed=True)
        renewed_by_another = await self.find(token)
        if renewed_by_another is None:
            raise NotAuthenticated
        return LiveSession(session=renewed_by_another.session, user=user)
