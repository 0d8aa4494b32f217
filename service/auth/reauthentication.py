"""Reauthentication by a factor, or by a mailed code for users who have nothing else."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from service.auth.audit import Event, record
from service.auth.challenges import Challenges, Made
from service.auth.codes import Code
from service.auth.errors import InvalidChallenge, NotAuthenticated, RateLimited
from service.auth.factors.answers import Answer, PasskeyAnswer, method_of
from service.auth.factors.passkey_challenges import PasskeyPurpose
from service.auth.factors.passkey_questions import PasskeyOptions, PasskeyQuestions
from service.auth.factors.proofs import FactorProofs
from service.auth.mail_limits import MailLimits
from service.auth.outbox import Outbox
from service.auth.rate_limits import RateLimiter
from service.auth.sessions import LiveSession, OpenedSession, Sessions, lock_user_of
from service.auth.step_up import StepUp
from service.model.challenges import Purpose, Subject
from service.model.mail import Mail, MailKind
from service.model.request_context import RequestContext
from service.model.sessions import Method
from service.storage import emails as email_storage
from service.storage import sessions as session_storage
from service.storage.database import Database


class Options(Struct, frozen=True, kw_only=True):
    """The methods by which a user can reauthenticate, and what two of them need.

    ``made`` is the challenge whose code was mailed, ``passkey`` what a passkey is to answer.
    """

    methods: list[str]
    made: Made | None
    passkey: PasskeyOptions | None


class Reauthentication:
    """Proofs of the users in ``database`` by factors and by mailed codes."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        database: Database,
        sessions: Sessions,
        step_up: StepUp,
        proofs: FactorProofs,
        passkeys: PasskeyQuestions | None,
        challenges: Challenges,
        outbox: Outbox,
        rate_limiter: RateLimiter,
        mail_limits: MailLimits,
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._step_up = step_up
        self._proofs = proofs
        self._passkeys = passkeys
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
        passkey = (
            await self._passkeys.for_reauthentication(live)
            if self._passkeys is not None and Method.PASSKEY in methods
            else None
        )
        return Options(methods=methods, made=made, passkey=passkey)

    async def by_factor(
        self, live: LiveSession, answer: Answer, token: str, context: RequestContext
    ) -> OpenedSession:
        """Prove the user of a session by a factor; the session gets a new token.

        ``token`` is that of the options that a passkey has answered. Raises `InvalidCode`,
        `UnknownPasskey`, `InvalidCredentials`, `InvalidChallenge`, `ValidationFailed`,
        `RateLimited`, and `NotAuthenticated` if the session ended meanwhile.
        """
        session_id, user_id = live.session.id, live.user.id
        asked = None
        if isinstance(answer, PasskeyAnswer):
            asked = self._questions().read(PasskeyPurpose.REAUTHENTICATE, token, live)
        try:
            async with self._database.transaction() as connection:
                await lock_user_of(connection, live)
                refusal = await self._proofs.refusal_of(
                    connection,
                    user_id,
                    answer,
                    context,
                    device=await session_storage.find_device(connection, session_id),
                    passkey_challenge=None if asked is None else asked.challenge,
                )
                if refusal is None:
                    if asked is not None:
                        await self._questions().claim(connection, user_id, asked)
                    method = method_of(answer)
                    opened = await self._sessions.prove_again(connection, live, method)
                    codes_left = await self._proofs.codes_left(connection, user_id, answer)
        except RateLimited:
            record(Event.SECOND_FACTOR_THROTTLED, context, user_id=user_id, session_id=session_id)
            raise
        if refusal is not None:
            record(Event.SECOND_FACTOR_FAILED, context, user_id=user_id, session_id=session_id)
            raise refusal
        record(Event.REAUTHENTICATED, context, user_id=user_id, session_id=session_id)
        return replace(opened, recovery_codes_left=codes_left)

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

    def _questions(self) -> PasskeyQuestions:
        """Return what asks passkeys. Raises `InvalidChallenge`: without it nothing was asked."""
        if self._passkeys is None:
            raise InvalidChallenge
        return self._passkeys

    async def _mail_code(self, live: LiveSession, context: RequestContext) -> Made:
        await self._rate_limiter.admit_mail_request(context, session=live.session)
        kind = MailKind.REAUTHENTICATE_CODE
        async with self._database.transaction() as connection:
            version = await session_storage.lock_session(connection, live.session.id)
            if version is None:
                raise NotAuthenticated
            mailed_to = await email_storage.find_verified_address(connection, live.user.id)
            if mailed_to and not await self._mail_limits.admits(connection, kind, mailed_to.name):
                mailed_to = None
            subject = Subject(
                user_id=live.user.id, security_version=version, session_id=live.session.id
            )
            made = await self._challenges.make(
                connection, Purpose.REAUTHENTICATION, subject, is_decoy=mailed_to is None
            )
            if mailed_to is not None:
                mail = Mail(kind=kind, recipient=mailed_to.display_name, challenge_id=made.id)
                await self._outbox.put(connection, mail)
        return made
