"""Links to reset a password, which an operator or another program makes for a user."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.audit import Event, record
from service.auth.challenges import Challenges, Link
from service.auth.errors import (
    FieldCode,
    FieldError,
    NoKeyForPassword,
    NoSuchUser,
    ValidationFailed,
)
from service.auth.notices import Notices
from service.auth.outbox import Outbox
from service.model.challenges import Purpose, Subject
from service.model.mail import Mail, MailKind
from service.model.request_context import RequestContext
from service.storage import emails as email_storage
from service.storage import keys as key_storage
from service.storage import users as user_storage
from service.storage.database import Database

NOT_MAILABLE = FieldError(
    field="deliver",
    code=FieldCode.NOT_ALLOWED,
    message="It cannot be mailed: the user has no verified address, or the service no mail.",
)


class Delivery(StrEnum):
    """How a link reaches the user: mailed by the service, or passed on by who asked for it."""

    MAIL = "mail"
    RETURN = "return"


class ResetLinks:
    """Links for the users in ``database``."""

    def __init__(
        self, database: Database, challenges: Challenges, outbox: Outbox, notices: Notices
    ) -> None:
        self._database = database
        self._challenges = challenges
        self._outbox = outbox
        self._notices = notices

    async def make(self, user_id: UUID, delivery: Delivery, context: RequestContext) -> Link:
        """Make a link by which a user sets a new password. The user is told, one way or the other.

        It asks for a factor as any reset does. Raises `NoSuchUser`, `ValidationFailed` if it cannot
        be mailed, and `NoKeyForPassword` if no password could log the user in.
        """
        async with self._database.transaction() as connection:
            if not await user_storage.lock_user(connection, user_id):
                raise NoSuchUser
            if not await key_storage.has_name(connection, user_id):
                raise NoKeyForPassword
            subject = Subject(user_id=user_id)
            made = await self._challenges.make(connection, Purpose.PASSWORD_RESET, subject)
            if delivery is Delivery.MAIL:
                await self._mail(connection, user_id, made.id)
            else:
                kind = MailKind.OPERATOR_RESET_LINK
                await self._notices.put(connection, kind, user_id, context)
        record(Event.RESET_LINK_MADE, context, user_id=user_id, deliver=delivery.value)
        return self._challenges.link_of(Purpose.PASSWORD_RESET, made)

    async def _mail(self, connection: AsyncConnection, user_id: UUID, challenge_id: UUID) -> None:
        address = await email_storage.find_verified_address(connection, user_id)
        if address is None or not self._outbox.is_available:
            raise ValidationFailed([NOT_MAILABLE])
        kind = MailKind.RESET_LINK
        mail = Mail(kind=kind, recipient=address.display_name, challenge_id=challenge_id)
        await self._outbox.put(connection, mail)
