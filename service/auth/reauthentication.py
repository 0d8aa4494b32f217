"""Reauthentication of users without a password, by a code mailed to the verified address."""

from __future__ import annotations

from msgspec import Struct

from service.auth.audit import Event, record
from service.auth.challenges import Challenges, Made
from service.auth.codes import Code
from service.auth.errors import NotAuthenticated
from service.auth.mail_limits import MailLimits
from service.auth.outbox import Outbox
from service.auth.rate_limits import RateLimiter
from service.auth.sessions import LiveSession, OpenedSession, Sessions
from service.auth.step_up import StepUp
from service.model.challenges import Purpose, Subject
from service.model.mail import Mail, MailKind
from service.model.request_context import RequestContext
from service.model.sessions import Method
from service.storage import emails as email_storage
from service.storage import sessions as session_storage
from service.storage.database import Database


class Options(Struct, frozen=True, kw_only=True):
    """The methods by which a user can reauthenticate; the challenge whose code was mailed."""

    methods: list[Method]
    made: Made | None


class Reauthentication:
    """Proofs of the users in ``database`` by mailed codes."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        database: Database,
        sessions: Sessions,
        step_up: StepUp,
        challenges: Challenges,
        outbox: Outbox,
        rate_limiter: RateLimiter,
        mail_limits: MailLimits,
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._step_up = step_up
        self._challenges = challenges
        self._outbox = outbox
        self._rate_limiter = rate_limiter
        self._mail_limits = mail_limits

    async def options(self, live: LiveSession, context: RequestContext) -> Options:
        """Return how the user of a session can be proven; mail a code where that is the way.

        Raises `RateLimited`, and `NotAuthenticated` if the session ended meanwhile.
        """
        methods = await self._step_up.methods_of(live.user.id)
        made = await self._mail_code(live, context) if Method.EMAIL_CODE in methods else None
        return Options(methods=methods, made=made)

    async def by_code(
        self, live: LiveSession, token: str, code: Code, context: RequestContext
    ) -> OpenedSession:
        """Prove the user of a session by a code that was mailed; the session gets a new token.

        Raises `InvalidCode`, `InvalidChallenge`, and `NotAuthenticated` if the session ended
        meanwhile.
        """
        session_id, purpose = live.session.id, Purpose.REAUTHENTICATION
        checked = await self._challenges.check_code(purpose, token, code, session_id=session_id)
        async with self._database.transaction() as connection:
            # A log-out locks the session first, and then its challenges.
            await session_storage.lock_session(connection, session_id)
            # A password that was set since has moved the security version, so that it is void.
            await self._challenges.claim(connection, checked)
            opened = await self._sessions.prove_again(connection, live, Method.EMAIL_CODE)
        record(Event.REAUTHENTICATED, context, user_id=live.user.id, session_id=session_id)
        return opened

    async def _mail_code(self, live: LiveSession, context: RequestContext) -> Made:
        await self._rate_limiter.admit_mail_request(context, session=live.session)
        kind = MailKind.REAUTHENTICATE_CODE
        async with self._database.transaction() as connection:
            version = await session_storage.lock_session(connection, live.session.id)
            if version is None:
                raise NotAuthenticated
            address = await email_storage.find_verified_address(connection, live.user.id)
            is_sent = address is not None and await self._mail_limits.admits(
                connection, kind, address.name
            )
            subject = Subject(
                user_id=live.user.id, security_version=version, session_id=live.session.id
            )
            made = await self._challenges.make(
                connection, Purpose.REAUTHENTICATION, subject, is_decoy=not is_sent
            )
            if address is not None and is_sent:
                mail = Mail(kind=kind, recipient=address.display_name, challenge_id=made.id)
                await self._outbox.put(connection, mail)
        return made
