"""The life of a session: opened, found, renewed when idle, ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.audit import Event, record
from service.auth.devices import DeviceToken
from service.auth.errors import (
    AccountDisabled,
    AlreadyAuthenticated,
    DatabaseUnavailable,
    InvalidCredentials,
    NoSuchSession,
    NotAuthenticated,
)
from service.auth.tokens import Token
from service.metrics import SESSIONS_RENEWED
from service.model.devices import DeviceHash
from service.model.proofs import Proof
from service.model.request_context import RequestContext
from service.model.sessions import (
    EndedSession,
    FoundSession,
    InsertedSession,
    ListedSession,
    Method,
    SecretHash,
    Session,
    SessionState,
)
from service.model.users import User
from service.settings.sessions import SessionSettings
from service.storage import session_endings as endings
from service.storage import session_openings as openings
from service.storage import sessions as storage
from service.storage.database import Database
from service.storage.direct import AnyConnection
from service.storage.rate_limits import Charge
from service.storage.session_lookups import SessionLookups
from service.storage.users import lock_user

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# More log-ins of one user than can be under way at once: a log-in does not see the sessions of
# those that commit while it is counting. So many below the limit, it begins to be enforced.
UNSEEN_LOG_INS = 100


class LiveSession(Struct, frozen=True, kw_only=True):
    """A session whose token was presented; ``renewed`` if this very request renewed it.

    ``found_at`` is when it was live, by the database's clock.
    """

    session: Session
    user: User
    token: Token
    found_at: datetime
    renewed: bool = False


class OpenedSession(Struct, frozen=True, kw_only=True):
    """A session with a new token, which is stored nowhere. ``issued_at`` is the database's time.

    ``device`` is the token by which the device is known from now on; ``None`` if that is as before.
    ``recovery_codes_left`` is for a user who was proven by one of them.
    """

    session: Session
    user: User
    token: Token
    issued_at: datetime
    device: DeviceToken | None = None
    recovery_codes_left: int | None = None


class Sessions:
    """The sessions in ``database``."""

    def __init__(
        self,
        database: Database,
        lookups: SessionLookups,
        settings: SessionSettings,
        max_per_user: int = 0,
    ) -> None:
        self._database = database
        self._lookups = lookups
        self._settings = settings
        self._max_per_user = max_per_user

    async def authenticate(self, tokens: Sequence[Token]) -> LiveSession:
        """Return the session that the tokens open, renewing it if idle.

        Raises `NotAuthenticated` unless exactly one of them opens a live session: of two, one may
        have been planted.
        """
        token, found = await self.find_only(tokens)
        return await self.renewed_if_idle(token, found)

    async def find_only(self, tokens: Sequence[Token]) -> tuple[Token, FoundSession]:
        """Return the only live session of the tokens, without renewing it.

        Cookies without the prefix count only if no other one opens a session. Raises
        `NotAuthenticated`.
        """
        if len(tokens) == 1:
            found = await self.find(tokens[0])
            if found is None:
                raise NotAuthenticated
            return tokens[0], found
        return await self._find_only_of_several(tokens)

    async def renewed_if_idle(self, token: Token, found: FoundSession) -> LiveSession:
        """Return a session that was found by a token, renewing it if idle.

        Raises `NotAuthenticated` if it ended meanwhile.
        """
        if found.state is SessionState.ACTIVE:
            return LiveSession(
                session=found.session, user=found.user, token=token, found_at=found.found_at
            )
        return await self._renew(token, found.user)

    async def find(self, token: Token) -> FoundSession | None:
        """Return the live session of a token, without renewing it."""
        found = await self._lookups.find(token.session_id)
        if found is None or not token.matches(found.secret_hash):
            return None
        return None if token.by_legacy_cookie and not found.legacy_cookie else found

    async def require_none(self, tokens: Sequence[Token]) -> None:
        """Raise `AlreadyAuthenticated` if one of the tokens opens a live session."""
        for token in tokens:
            if await self.find(token) is not None:
                raise AlreadyAuthenticated

    async def open(  # noqa: PLR0913
        self,
        connection: AnyConnection,
        proof: Proof,
        context: RequestContext,
        *,
        presented: DeviceToken | None = None,
        presented_hash: DeviceHash | None = None,
        carried: Sequence[Token] = (),
        settles: Sequence[Charge] = (),
    ) -> tuple[OpenedSession, InsertedSession]:
        """Open a session for the user of a proof, and end the live sessions of ``carried``.

        The device is known to the user from now on: by the token that was ``presented``, if it is
        one that was issued and not forgotten, else by a new one; ``presented_hash`` is that of one
        that an earlier request presented. ``settles`` are the charges of the attempt. Raises
        `InvalidCredentials` if the key was removed, its password changed, or the security version
        of the user moved since it was read, and if the user has a factor and the proof is without
        one, and `AccountDisabled`, which is recorded, if the user is disabled; then nothing else
        happens.
        """
        token, new_device = Token.issue(), DeviceToken.issue()
        inserted = await openings.open_session(
            connection,
            session_id=token.session_id,
            secret_hash=token.secret_hash,
            proof=proof,
            device=context.device,
            settings=self._settings,
            presented_device=presented.hash if presented else presented_hash,
            new_device=new_device.hash,
            carried=secrets_of(carried),
            max_counted=self._max_per_user,
            settles=settles,
        )
        if inserted is None:
            if await openings.is_refused_as_disabled(connection, proof):
                record(Event.DISABLED_USER_REFUSED, context, user_id=proof.user.id)
                raise AccountDisabled
            raise InvalidCredentials
        opened = OpenedSession(
            session=inserted.session,
            user=proof.user,
            token=token,
            issued_at=inserted.session.created_at,
            device=new_device if inserted.device_hash == new_device.hash else presented,
        )
        return opened, inserted

    async def open_another(
        self,
        proof: Proof,
        context: RequestContext,
        *,
        presented: DeviceToken | None,
        carried: Sequence[Token],
        settles: Sequence[Charge],
    ) -> OpenedSession:
        """Open a session of an existing user; those of ``carried`` and beyond the limit end.

        Raises `InvalidCredentials` and `AccountDisabled` as `open` does.
        """
        async with self._database.direct() as connection:
            opened, inserted = await self.open(
                connection,
                proof,
                context,
                presented=presented,
                carried=carried,
                settles=settles,
            )
        await self.after_opening(inserted, proof.user.id, context)
        return opened

    async def after_opening(
        self, inserted: InsertedSession, user_id: UUID, context: RequestContext
    ) -> None:
        """Record which sessions ended with an opening, and end those beyond the user's limit."""
        record_all(Event.SESSION_REPLACED, context, inserted.replaced)
        if self._max_per_user and inserted.earlier >= self._max_per_user - UNSEEN_LOG_INS:
            await self._enforce_limit(user_id, context)

    async def list(
        self, user_id: UUID, max_sessions: int, older_than: tuple[datetime, UUID] | None = None
    ) -> list[ListedSession]:
        """Return a page of a user's live sessions, newest first.

        ``older_than`` is the creation time and id of the last session of the page before.
        """
        return await self._database.with_retry(
            storage.list_sessions, user_id, max_sessions, older_than
        )

    async def log_out(self, carried: Sequence[Token], context: RequestContext) -> None:
        """End the live sessions of the tokens: those are no longer valid, in any process.

        Raises `NotAuthenticated` if there is none.
        """
        if not carried:
            raise NotAuthenticated
        async with self._database.connect() as connection:
            ended = await endings.end_carried_sessions(connection, secrets_of(carried))
        if not ended:
            raise NotAuthenticated
        record_all(Event.LOGGED_OUT, context, ended)

    async def end_one(self, session_id: UUID, user_id: UUID, context: RequestContext) -> None:
        """End a live session of a user. Raises `NoSuchSession` if the user has none of that id."""
        async with self._database.connect() as connection:
            if not await endings.end_session_of_user(connection, session_id, user_id):
                raise NoSuchSession
        record(Event.SESSION_REVOKED, context, user_id=user_id, session_id=session_id)

    async def end_others(self, kept: Session, context: RequestContext) -> int:
        """End all live sessions of a user but one. Returns how many.

        All devices are forgotten but the one on which that session was opened.
        """
        async with self._database.connect() as connection:
            ended = await endings.end_other_sessions(connection, kept.user_id, kept.id)
        event = Event.OTHER_SESSIONS_REVOKED
        record(event, context, user_id=kept.user_id, session_id=kept.id, ended=ended)
        return ended

    async def keep_only(
        self, connection: AsyncConnection, live: LiveSession, method: Method
    ) -> tuple[OpenedSession, int]:
        """End all sessions of a user but one, which was proven again and gets a new token.

        All devices but that one's are forgotten. Returns it and the number of those that ended.
        Raises `NotAuthenticated` if it ended meanwhile.
        """
        ended = await endings.end_other_sessions(connection, live.user.id, live.session.id)
        return await self.prove_again(connection, live, method), ended

    async def prove_again(
        self,
        connection: AsyncConnection,
        live: LiveSession,
        method: str,
        proven_at: datetime | None = None,
    ) -> OpenedSession:
        """Remember that the user of a session was proven again; it gets a new token.

        ``proven_at`` is when, if that may be before now. Raises `NotAuthenticated` if it ended
        meanwhile.
        """
        token = Token.issue(live.session.id)
        changed = await storage.prove_again(
            connection, live.session.id, token.secret_hash, method, proven_at
        )
        if changed is None:
            raise NotAuthenticated
        session, now = changed
        return OpenedSession(session=session, user=live.user, token=token, issued_at=now)

    async def _find_only_of_several(self, tokens: Sequence[Token]) -> tuple[Token, FoundSession]:
        for legacy in (False, True):
            live = [
                (token, found)
                for token in tokens
                if token.by_legacy_cookie is legacy
                and (found := await self.find(token)) is not None
            ]
            if len(live) == 1:
                return live[0]
            if live:
                break
        raise NotAuthenticated

    async def _enforce_limit(self, user_id: UUID, context: RequestContext) -> None:
        """End the sessions beyond the limit.

        The new session is open already: if the log-in failed now, no client would have its token.
        If the database is unavailable, the next log-in ends them.
        """
        try:
            async with self._database.connect() as connection:
                ended = await endings.end_oldest_sessions(connection, user_id, self._max_per_user)
        except DatabaseUnavailable as error:
            log.warning("session_limit_not_enforced", user_id=str(user_id), reason=str(error))
            return
        record_all(Event.SESSION_LIMIT_EXCEEDED, context, ended)

    async def _renew(self, token: Token, user: User) -> LiveSession:
        async with self._database.connect() as connection:
            renewed = await storage.renew_session(connection, token.session_id, self._settings)
        if renewed is not None:
            SESSIONS_RENEWED.add()
            return LiveSession(
                session=renewed,
                user=user,
                token=token,
                found_at=renewed.renewed_at,
                renewed=True,
            )
        by_another = await self.find(token)
        if by_another is None:
            raise NotAuthenticated
        return LiveSession(
            session=by_another.session, user=user, token=token, found_at=by_another.found_at
        )


async def lock_user_of(connection: AsyncConnection, live: LiveSession) -> None:
    """Lock the user of a session until the transaction ends. Raises `NotAuthenticated`.

    The session may have ended since its request was let in: while the body was on its way, or
    another change of the user was under way. What ends it together with others locks the user.
    """
    await lock_user(connection, live.user.id)
    if not await storage.is_live(connection, live.session.id):
        raise NotAuthenticated


def secrets_of(tokens: Sequence[Token]) -> list[tuple[UUID, SecretHash]]:
    """Return the ids and the hashes of the secrets of tokens."""
    return [(token.session_id, token.secret_hash) for token in tokens]


def record_all(event: Event, context: RequestContext, ended: Sequence[EndedSession]) -> None:
    """Log an event for each session that ended."""
    for session in ended:
        record(event, context, user_id=session.user_id, session_id=session.id)
