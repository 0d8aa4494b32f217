"""Removal of the password: from then on the user logs in by passkey only."""

from __future__ import annotations

from service.auth.audit import Event, record
from service.auth.password_changes import PasswordChanges
from service.auth.sessions import LiveSession, lock_user_of
from service.auth.ways_in import WaysIn
from service.model.mail import MailKind
from service.model.request_context import RequestContext
from service.model.sessions import Method
from service.storage import keys as key_storage
from service.storage import session_endings
from service.storage import sessions as session_storage
from service.storage.database import Database


class PasswordRemovals:
    """Removals of the passwords of the users in ``database``."""

    def __init__(
        self, database: Database, password_changes: PasswordChanges, ways_in: WaysIn
    ) -> None:
        self._database = database
        self._password_changes = password_changes
        self._ways_in = ways_in

    async def remove(self, live: LiveSession, context: RequestContext) -> None:
        """Remove the password of a user, if there is one.

        The other sessions that it has proven end. Raises `LastWayIn` unless the user has a passkey,
        and another one or a verified address, and `NotAuthenticated` if the session ended
        meanwhile.
        """
        user_id, session_id = live.user.id, live.session.id
        async with self._database.transaction() as connection:
            await lock_user_of(connection, live)
            if not await key_storage.find_password_key(connection, user_id):
                return
            await self._ways_in.require_without_password(connection, user_id)
            await key_storage.remove_password(connection, user_id)
            await self._password_changes.complete(
                connection, user_id, context, MailKind.PASSWORD_REMOVED
            )
            ended = await session_endings.end_sessions_proven_by(
                connection, user_id, Method.PASSWORD, session_id
            )
            await session_storage.remove_method(connection, user_id, Method.PASSWORD)
        record(Event.PASSWORD_REMOVED, context, user_id=user_id, session_id=session_id, ended=ended)
