"""Notices: mails to the verified address of a user, of what was done to their account.

A notice is written in the transaction of the change, before it, so that it goes to the address as
it was. Nobody can suppress one: there is no limit.
"""

from __future__ import annotations

from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.buckets import bucket_of, networks_of
from service.auth.challenges import Challenges
from service.auth.errors import DatabaseUnavailable
from service.auth.outbox import Outbox
from service.model.challenges import Purpose, Subject
from service.model.mail import Mail, MailKind
from service.model.request_context import RequestContext
from service.settings.values import Rate
from service.storage import devices as device_storage
from service.storage import emails as storage
from service.storage import rate_limits as limit_storage
from service.storage.database import Database

log: structlog.stdlib.BoundLogger = structlog.get_logger()

ONCE_A_DAY = Rate.parse("1/1d")


class Notices:
    """Puts notices into ``outbox``."""

    def __init__(self, database: Database, outbox: Outbox, challenges: Challenges) -> None:
        self._database = database
        self._outbox = outbox
        self._challenges = challenges

    async def put(
        self, connection: AsyncConnection, kind: MailKind, user_id: UUID, context: RequestContext
    ) -> None:
        """Notify a user of a change, in its transaction, if they have a verified address."""
        if address := await self._address_of(connection, user_id):
            mail = Mail(kind=kind, recipient=address.display_name, data=origin_of(context))
            await self._outbox.put(connection, mail)

    async def put_with_undo(
        self, connection: AsyncConnection, kind: MailKind, user_id: UUID, context: RequestContext
    ) -> None:
        """Notify a user of a change, in its transaction, with a link that takes it back.

        The link is made before the change, and takes back what is later than itself.
        """
        if address := await self._address_of(connection, user_id):
            subject = Subject(
                user_id=user_id, address=address.name, display_address=address.display_name
            )
            made = await self._challenges.make(connection, Purpose.UNDO, subject)
            mail = Mail(
                kind=kind,
                recipient=address.display_name,
                challenge_id=made.id,
                data=origin_of(context),
            )
            await self._outbox.put(connection, mail)

    async def put_once_a_day(
        self, connection: AsyncConnection, kind: MailKind, user_id: UUID, context: RequestContext
    ) -> None:
        """Notify a user of an attempt, at most once a day for each IP address.

        Of IPv6 that is a /64. Somebody else may repeat it at will, and would fill the mailbox.
        """
        network = networks_of(context.device.address)[0][0]
        bucket = bucket_of(ONCE_A_DAY, "notice", kind, user_id.bytes, network)
        consumed = await limit_storage.consume(connection, [bucket], reserved_for=0)
        if consumed.is_allowed:
            await self.put(connection, kind, user_id, context)

    async def put_new_device(self, user_id: UUID, context: RequestContext) -> None:
        """Notify a user of a log-in from a new device, at most once a day for each IP address.

        Of IPv6 that is a /64. A first device needs no notice. The session is open already: if the
        database fails, no notice is sent, and the log-in succeeds.
        """
        if not self._outbox.is_available:
            return
        try:
            async with self._database.transaction() as connection:
                if not await device_storage.has_several_devices(connection, user_id):
                    return
                await self.put_once_a_day(connection, MailKind.NEW_DEVICE, user_id, context)
        except DatabaseUnavailable as error:
            log.warning("new_device_not_told", user_id=str(user_id), reason=str(error))

    async def _address_of(
        self, connection: AsyncConnection, user_id: UUID
    ) -> storage.Address | None:
        """Return the address for a notice; ``None`` without one, and where there is no mail."""
        if not self._outbox.is_available:
            return None
        return await storage.find_verified_address(connection, user_id)


def origin_of(context: RequestContext) -> dict[str, str]:
    """Return where a change came from, for the text of a notice."""
    device = context.device
    name = device.name or device.user_agent
    return {
        **({"device": name} if name else {}),
        **({"address": str(device.address)} if device.address else {}),
    }
