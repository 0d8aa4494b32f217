"""Password resets, for users who have forgotten their password.

A request writes a row, and gets the same response, whether there is such a user or not: the user is
looked up, and mailed a link, in the background. The link sets a password, ends all sessions and
logs in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.accounts import requester_of
from service.auth.audit import Event, record
from service.auth.challenges import Challenges
from service.auth.devices import DeviceToken
from service.auth.errors import InvalidChallenge, SecondFactorRequired, ValidationFailed
from service.auth.factors.second_factors import SecondFactors, pending_log_in
from service.auth.hashing.hasher import Hasher
from service.auth.identifiers import Identifier
from service.auth.mail_limits import MailLimits
from service.auth.outbox import Outbox
from service.auth.password_changes import PasswordChanges
from service.auth.passwords import NewPassword, username_in_password
from service.auth.rate_limits import RateLimiter
from service.auth.sessions import OpenedSession, Sessions, record_all
from service.auth.tokens import Token
from service.model.challenges import Challenge, Purpose, Subject
from service.model.mail import Mail, MailKind
from service.model.proofs import Proof
from service.model.request_context import RequestContext
from service.model.sessions import Method, Transport
from service.model.users import User
from service.storage import emails as email_storage
from service.storage import keys as key_storage
from service.storage import password_resets as storage
from service.storage import users as user_storage
from service.storage.database import Database, on_commit
from service.storage.factors.existing import user_has_factor


class PasswordResets:
    """Resets of the passwords of the users in ``database``."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        database: Database,
        hasher: Hasher,
        sessions: Sessions,
        challenges: Challenges,
        outbox: Outbox,
        password_changes: PasswordChanges,
        second_factors: SecondFactors,
        rate_limiter: RateLimiter,
        mail_limits: MailLimits,
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._sessions = sessions
        self._challenges = challenges
        self._outbox = outbox
        self._password_changes = password_changes
        self._second_factors = second_factors
        self._rate_limiter = rate_limiter
        self._mail_limits = mail_limits
        self._requested = asyncio.Event()

    async def request(
        self, identifier: Identifier, context: RequestContext, *, device: DeviceToken | None = None
    ) -> None:
        """Have a link mailed to a user, if there is one. Raises `RateLimited`, in either case."""
        await self._rate_limiter.admit_mail_request(context, device=device)
        requested = storage.ResetRequest(username=identifier.username, address=identifier.address)
        async with self._database.transaction() as connection:
            await storage.add_reset_request(connection, requested)
            on_commit(connection, self._requested.set)
        record(Event.PASSWORD_RESET_REQUESTED, context)

    async def answer_requests(self) -> None:
        """Mail the links that were requested; a background task. Raises `DatabaseUnavailable`."""
        while await self._answer_oldest():
            pass

    async def wait(self, seconds: float) -> None:
        """Wait until this process has taken a request, but no longer than so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._requested.wait()
        self._requested.clear()

    async def confirm(  # noqa: PLR0913
        self,
        token: str,
        password: NewPassword,
        *,
        context: RequestContext,
        transport: Transport,
        carried: Sequence[Token] = (),
        device: DeviceToken | None = None,
    ) -> OpenedSession:
        """Set the password of the user of a link, end all their sessions, and log them in.

        Raises `InvalidChallenge`, `ValidationFailed` for a password that contains the user name,
        and `Overloaded`: only a good password uses the link up. Raises `SecondFactorRequired` for a
        user who has a factor: only its answer sets the password.
        """
        checked = await self._challenges.check_link(Purpose.PASSWORD_RESET, token)
        user = await self._user_of(checked)
        if errors := username_in_password(user.username, password, field="new_password"):
            raise ValidationFailed(errors)
        requester = requester_of(context, str(user.id), is_known=True)
        password_hash = await self._hasher.hash(password, requester)
        question: SecondFactorRequired | None = None
        async with self._database.transaction() as connection:
            version = await user_storage.lock_security_version(connection, user.id)
            await self._challenges.claim(connection, checked)
            if version is None:
                raise InvalidChallenge
            if await user_has_factor(connection, user.id):
                pending = pending_log_in(
                    Method.RESET, transport, context, device, new_hash=password_hash
                )
                question = await self._second_factors.ask(connection, user.id, version, pending)
            else:
                key, ended = await self._password_changes.reset(
                    connection, user.id, password_hash, context
                )
                opened, inserted = await self._sessions.open(
                    connection,
                    Proof.by_password(key, Method.RESET),
                    context,
                    presented=device,
                    carried=carried,
                )
        if question is not None:
            record(Event.SECOND_FACTOR_REQUIRED, context, user_id=user.id)
            raise question
        record(
            Event.PASSWORD_RESET,
            context,
            user_id=user.id,
            session_id=opened.session.id,
            ended=ended,
        )
        record_all(Event.SESSION_REPLACED, context, inserted.replaced)
        return opened

    async def _user_of(self, challenge: Challenge) -> User:
        """Return the user of a link. Raises `InvalidChallenge` if they were deleted meanwhile."""
        user_id = challenge.subject.user_id
        if user_id is not None:
            user = await self._database.with_retry(user_storage.find_user, user_id)
            if user is not None:
                return user
        raise InvalidChallenge

    async def _answer_oldest(self) -> bool:
        """Answer a request in the transaction that deletes it. Returns whether there was one."""
        async with self._database.transaction() as connection:
            request = await storage.take_reset_request(connection)
            if request is not None:
                await self._mail_link(connection, request)
        return request is not None

    async def _mail_link(self, connection: AsyncConnection, request: storage.ResetRequest) -> None:
        """Mail a link to the verified address of the user, unless it has got too many."""
        key = await key_storage.find_identified_key(
            connection, username=request.username, address=request.address
        )
        if key is None or not await user_storage.lock_enabled_user(connection, key.user.id):
            return
        address = await email_storage.find_verified_address(connection, key.user.id)
        kind = MailKind.RESET_LINK
        if address and await self._mail_limits.admits(connection, kind, address.name):
            subject = Subject(user_id=key.user.id)
            made = await self._challenges.make(connection, Purpose.PASSWORD_RESET, subject)
            mail = Mail(kind=kind, recipient=address.display_name, challenge_id=made.id)
            await self._outbox.put(connection, mail)
