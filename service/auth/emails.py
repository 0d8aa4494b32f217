"""The e-mail address of a user: asked for, verified, removed.

An address that is not verified yet blocks nobody and logs nobody in: until then it stands in its
challenge only. Of several users who ask for one, the first to verify it has it.
"""

from __future__ import annotations

from service.auth.audit import Event, record
from service.auth.challenges import Challenges, Made
from service.auth.codes import Code
from service.auth.email_addresses import EmailAddress
from service.auth.errors import EmailTaken, InvalidChallenge, NotAuthenticated
from service.auth.mail_limits import MailLimits
from service.auth.notices import Notices
from service.auth.outbox import Outbox
from service.auth.rate_limits import RateLimiter
from service.auth.sessions import LiveSession, lock_user_of
from service.auth.ways_in import WaysIn
from service.model.challenges import Purpose, Subject
from service.model.mail import Mail, MailKind
from service.model.request_context import RequestContext
from service.model.users import User
from service.storage import emails as storage
from service.storage import keys as key_storage
from service.storage import sessions as session_storage
from service.storage import users as user_storage
from service.storage.database import Database


class Emails:
    """The addresses of the users in ``database``."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        database: Database,
        challenges: Challenges,
        outbox: Outbox,
        notices: Notices,
        rate_limiter: RateLimiter,
        mail_limits: MailLimits,
        ways_in: WaysIn,
    ) -> None:
        self._database = database
        self._challenges = challenges
        self._outbox = outbox
        self._notices = notices
        self._rate_limiter = rate_limiter
        self._mail_limits = mail_limits
        self._ways_in = ways_in

    async def request(
        self, live: LiveSession, address: EmailAddress, context: RequestContext
    ) -> Made:
        """Mail a code to the address that a user wants, and a notice to the present one.

        The response does not tell whether another user has the address. Raises `RateLimited`, and
        `NotAuthenticated` if the session ended meanwhile.
        """
        await self._rate_limiter.admit_mail_request(context, session=live.session)
        async with self._database.transaction() as connection:
            version = await session_storage.lock_session(connection, live.session.id)
            if version is None:
                raise NotAuthenticated
            kind = MailKind.VERIFY_EMAIL_CODE
            is_sent = await self._mail_limits.admits(connection, kind, address.name)
            subject = Subject(
                user_id=live.user.id,
                security_version=version,
                session_id=live.session.id,
                address=address.name,
                display_address=address.display_name,
            )
            made = await self._challenges.make(
                connection, Purpose.EMAIL, subject, is_decoy=not is_sent
            )
            if is_sent:
                mail = Mail(kind=kind, recipient=address.display_name, challenge_id=made.id)
                await self._outbox.put(connection, mail)
            await self._notices.put(connection, MailKind.EMAIL_REQUESTED, live.user.id, context)
        record(Event.EMAIL_REQUESTED, context, user_id=live.user.id, session_id=live.session.id)
        return made

    async def verify(
        self, live: LiveSession, token: str, code: Code, context: RequestContext
    ) -> User:
        """Give the user of a session the address that a code has verified, in place of any other.

        A notice to the former one has a link that takes the change back. Returns the user. Raises
        `InvalidCode`, `InvalidChallenge` and `EmailTaken`.
        """
        session_id, user_id = live.session.id, live.user.id
        checked = await self._challenges.check_code(
            Purpose.EMAIL, token, code, session_id=session_id
        )
        async with self._database.transaction() as connection:
            await user_storage.lock_user(connection, user_id)
            claimed = await self._challenges.claim(connection, checked)
            kind = MailKind.EMAIL_CHANGED
            await self._notices.put_with_undo(connection, kind, user_id, context)
            try:
                await storage.replace_address(connection, user_id, address_of(claimed.subject))
            except key_storage.KeyExists as error:
                raise EmailTaken from error
            await user_storage.move_security_version(connection, user_id)
            await self._challenges.end_all_of(connection, user_id, [Purpose.PASSWORD_RESET])
            changed = await user_storage.find_user(connection, user_id)
        record(Event.EMAIL_CHANGED, context, user_id=user_id, session_id=session_id)
        return changed or live.user

    async def remove(self, live: LiveSession, context: RequestContext) -> None:
        """Remove the address of the user of a session, if there is one.

        A notice to it has a link that takes the change back. Raises `LastWayIn` if the user could
        not log in without it, and `NotAuthenticated` if the session ended meanwhile.
        """
        user_id = live.user.id
        async with self._database.transaction() as connection:
            await lock_user_of(connection, live)
            kind = MailKind.EMAIL_REMOVED
            await self._notices.put_with_undo(connection, kind, user_id, context)
            if not await storage.remove_addresses(connection, user_id):
                return
            await self._ways_in.require_one(connection, user_id)
            await user_storage.move_security_version(connection, user_id)
            await self._challenges.end_all_of(connection, user_id, [Purpose.PASSWORD_RESET])
        record(Event.EMAIL_REMOVED, context, user_id=user_id, session_id=live.session.id)


def address_of(subject: Subject) -> storage.Address:
    """Return the address that a challenge is about. Raises `InvalidChallenge` without one."""
    if subject.address is None or subject.display_address is None:
        raise InvalidChallenge
    return storage.Address(subject.address, subject.display_address)
