"""Abandoned log-ins: the password was right, and no factor came.

A person who knows the password but has no factor leaves such a log-in, with or without wrong codes.
The user is notified when its challenge has expired, unless the user has opened another session from
the same IP address since; at most once a day for each IP address.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address
from uuid import UUID

from msgspec import ValidationError

from service.auth.audit import Event, record
from service.auth.notices import Notices
from service.model.log_ins import PendingLogIn
from service.model.mail import MailKind
from service.model.request_context import Device, RequestContext
from service.model.sessions import Method
from service.storage.database import Database
from service.storage.factors import abandoned_log_ins as storage
from service.storage.factors.abandoned_log_ins import AbandonedLogIn

LOG_INS_PER_BATCH = 100


class AbandonedLogIns:
    """The abandoned log-ins of the users in ``database``."""

    def __init__(self, database: Database, notices: Notices) -> None:
        self._database = database
        self._notices = notices

    async def notify(self) -> None:
        """Delete the log-ins whose time is over; a background task.

        Users are notified of those that began with a password and were not completed. Raises
        `DatabaseUnavailable`.
        """
        taken = LOG_INS_PER_BATCH
        while taken == LOG_INS_PER_BATCH:
            async with self._database.transaction() as connection:
                abandoned = await storage.take_abandoned_log_ins(connection, LOG_INS_PER_BATCH)
                to_tell = in_lock_order(abandoned)
                for user_id, context in to_tell:
                    kind = MailKind.SECOND_FACTOR_FAILED
                    await self._notices.put_once_a_day(connection, kind, user_id, context)
            for user_id, context in to_tell:
                record(Event.SECOND_FACTOR_ABANDONED, context, user_id=user_id)
            taken = len(abandoned)


def in_lock_order(abandoned: Sequence[AbandonedLogIn]) -> list[tuple[UUID, RequestContext]]:
    """Return who is to be told of which log-ins, in an order that is the same in every process.

    Each locks the limit of a user and an address. A log-in that a later version has begun in a way
    that this one does not know is left out.
    """
    found = []
    for each in abandoned:
        with suppress(ValidationError):
            pending = PendingLogIn.of_json(each.data)
            if pending.method == Method.PASSWORD and not each.was_completed:
                found.append((each.user_id, origin_of(pending)))
    return sorted(found, key=lambda each: (each[0], str(each[1].device.address)))


def origin_of(pending: PendingLogIn) -> RequestContext:
    """Return where a log-in began."""
    address = None if pending.address is None else ip_address(pending.address)
    return RequestContext(device=Device(address=address, name=pending.device_name))
