"""Renewals of recovery codes: new ones in place of those that are left."""

from __future__ import annotations

from service.auth.audit import Event, record
from service.auth.errors import NoFactor
from service.auth.factors.changes import FactorChanges
from service.auth.factors.recovery_codes import RecoveryCode
from service.auth.notices import Notices
from service.auth.sessions import LiveSession, lock_user_of
from service.model.mail import MailKind
from service.model.request_context import RequestContext
from service.storage import users as user_storage
from service.storage.database import Database
from service.storage.factors.existing import user_has_factor


class RecoveryCodeRenewals:
    """Renewals of the recovery codes of the users in ``database``."""

    def __init__(self, database: Database, changes: FactorChanges, notices: Notices) -> None:
        self._database = database
        self._changes = changes
        self._notices = notices

    async def renew(self, live: LiveSession, context: RequestContext) -> list[RecoveryCode]:
        """Make new recovery codes; the old ones are void.

        Raises `NoFactor` for a user without a factor, and `NotAuthenticated` if the session ended
        meanwhile.
        """
        user_id = live.user.id
        async with self._database.transaction() as connection:
            await lock_user_of(connection, live)
            if not await user_has_factor(connection, user_id):
                raise NoFactor
            await user_storage.move_security_version(connection, user_id)
            codes = await self._changes.replace_recovery_codes(connection, user_id)
            kind = MailKind.RECOVERY_CODES_RENEWED
            await self._notices.put(connection, kind, user_id, context)
        event, session_id = Event.RECOVERY_CODES_RENEWED, live.session.id
        record(event, context, user_id=user_id, session_id=session_id)
        return codes
