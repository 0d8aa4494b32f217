"""A first password, for users without one: imported, or after a change was taken back."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.accounts import requester_of
from service.auth.audit import Event, record
from service.auth.errors import FieldCode, FieldError, ValidationFailed
from service.auth.hashing.hasher import Hasher
from service.auth.password_changes import PasswordChanges
from service.auth.passwords import NewPassword, username_in_password
from service.auth.sessions import LiveSession, OpenedSession, Sessions
from service.auth.step_up import StepUp
from service.model.request_context import RequestContext
from service.model.sessions import Method
from service.storage import keys as key_storage
from service.storage import users as storage
from service.storage.database import Database

HAS_PASSWORD = FieldError(
    field="current_password",
    code=FieldCode.REQUIRED,
    message="Current password is required.",
)
NO_NAME = FieldError(
    field="new_password",
    code=FieldCode.NOT_ALLOWED,
    message="A password needs a user name or an e-mail address to log in with: set one first.",
)


class FirstPasswords:
    """First passwords of the users in ``database``."""

    def __init__(
        self,
        database: Database,
        hasher: Hasher,
        sessions: Sessions,
        step_up: StepUp,
        password_changes: PasswordChanges,
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._sessions = sessions
        self._step_up = step_up
        self._password_changes = password_changes

    async def set(
        self, live: LiveSession, password: NewPassword, context: RequestContext
    ) -> OpenedSession:
        """Set the first password of a user; the session gets a new token, and all others end.

        Raises `ValidationFailed`, also for a user who has a password, or no name to log in with;
        `ReauthenticationRequired`, `Overloaded`, and `NotAuthenticated` if the session ended
        meanwhile.
        """
        user = live.user
        async with self._database.connect() as connection:
            await self._require_none(connection, live)
        await self._step_up.require(live)
        if errors := username_in_password(user.username, password, field="new_password"):
            raise ValidationFailed(errors)
        requester = requester_of(context, str(user.id), is_known=True)
        password_hash = await self._hasher.hash(password, requester)
        async with self._database.transaction() as connection:
            await storage.lock_user(connection, user.id)
            await self._require_none(connection, live)
            if not await key_storage.set_password_hash(connection, user.id, password_hash):
                raise ValidationFailed([NO_NAME])
            await self._password_changes.complete(connection, user.id, context)
            opened, ended = await self._sessions.keep_only(connection, live, Method.PASSWORD)
        session_id = live.session.id
        record(Event.PASSWORD_CHANGED, context, user_id=user.id, session_id=session_id, ended=ended)
        return opened

    async def _require_none(self, connection: AsyncConnection, live: LiveSession) -> None:
        """Raise `ValidationFailed` if the user of a session has a password."""
        if await key_storage.find_password_key(connection, live.user.id):
            raise ValidationFailed([HAS_PASSWORD])
