"""Undo: the person who receives mail at the address as it was takes changes back.

Whoever made them knows the password, or has a session: neither is worth anything afterwards.
"""

from __future__ import annotations

from service.auth.audit import Event, record
from service.auth.challenges import Challenges
from service.auth.emails import address_of
from service.auth.errors import EmailTaken, InvalidChallenge
from service.auth.factors.changes import remove_factors_since
from service.auth.notices import Notices
from service.auth.outbox import Outbox
from service.model.challenges import Purpose, Subject
from service.model.mail import Mail, MailKind
from service.model.request_context import RequestContext
from service.storage import emails as email_storage
from service.storage import identities as identity_storage
from service.storage import keys as key_storage
from service.storage import session_endings
from service.storage import users as user_storage
from service.storage.database import Database

# Those that the change may have made, or that whoever made it has asked for.
ENDED = [
    Purpose.EMAIL,
    Purpose.REAUTHENTICATION,
    Purpose.PASSWORD_RESET,
    Purpose.SECOND_FACTOR,
]


class Undo:
    """Takes back changes of the users in ``database``."""

    def __init__(
        self, database: Database, challenges: Challenges, outbox: Outbox, notices: Notices
    ) -> None:
        self._database = database
        self._challenges = challenges
        self._outbox = outbox
        self._notices = notices

    async def undo(self, token: str, context: RequestContext) -> None:
        """Take back what was changed since a link was made, and mail a link to reset the password.

        The address to which the link was mailed is restored. The factors and identities that are
        later than the link are removed: the reset asks for those only that are older. The address
        in its place is notified, without a link: it was the later one. Nobody logs in with the
        present password any more, and all sessions end. Later changes cannot be undone: their links
        may have gone to the person who made them. Raises `InvalidChallenge`, and `EmailTaken` if
        another user has verified the address since.
        """
        checked = await self._challenges.check_link(Purpose.UNDO, token)
        user_id = checked.subject.user_id
        if user_id is None:
            raise InvalidChallenge
        async with self._database.transaction() as connection:
            await user_storage.lock_user(connection, user_id)
            claimed = await self._challenges.claim(connection, checked)
            address = address_of(claimed.subject)
            present = await email_storage.find_verified_address(connection, user_id)
            if present is not None and present.name != address.name:
                kind = MailKind.EMAIL_CHANGED
                await self._notices.put(connection, kind, user_id, context)
            try:
                await email_storage.replace_address(connection, user_id, address)
            except key_storage.KeyExists as error:
                raise EmailTaken from error
            made_at = self._challenges.made_at(claimed)
            await remove_factors_since(connection, user_id, made_at)
            await identity_storage.remove_identities_since(connection, user_id, made_at)
            await key_storage.remove_password(connection, user_id)
            await user_storage.move_security_version(connection, user_id)
            # A log-out locks the session first, and then its challenges.
            ended = await session_endings.end_all_sessions(connection, user_id)
            await self._challenges.end_all_of(connection, user_id, ENDED)
            await self._challenges.end_later_undos(connection, claimed)
            subject = Subject(user_id=user_id)
            made = await self._challenges.make(connection, Purpose.PASSWORD_RESET, subject)
            mail = Mail(
                kind=MailKind.UNDO_RESET_LINK, recipient=address.display_name, challenge_id=made.id
            )
            await self._outbox.put(connection, mail)
        record(Event.CHANGE_UNDONE, context, user_id=user_id, ended=ended)
