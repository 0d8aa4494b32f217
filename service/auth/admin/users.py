"""Users, for operators and other programs: found, created, deleted, given a password."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from uuid import UUID

from service.auth.admin.records import require_record
from service.auth.admin.revisions import require_revision
from service.auth.audit import OPERATOR, Event, record
from service.auth.errors import InvalidField, NoKeyForPassword, NoSuchUser, ValidationFailed
from service.auth.hashing.hasher import Hasher
from service.auth.identifiers import Identifier
from service.auth.notices import Notices
from service.auth.password_changes import PasswordChanges
from service.auth.passwords import NewPassword, username_in_password
from service.model.mail import MailKind
from service.model.request_context import RequestContext
from service.model.user_records import UserRecord
from service.model.users import User
from service.storage import keys as key_storage
from service.storage import session_endings
from service.storage import users as storage
from service.storage.database import Database

PAGE_LENGTH = 1000


class UserAdmin:
    """The users in ``database``."""

    def __init__(
        self,
        database: Database,
        hasher: Hasher,
        password_changes: PasswordChanges,
        notices: Notices,
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._password_changes = password_changes
        self._notices = notices

    async def find(self, name_or_id: str) -> User:
        """Find a user by any spelling of the user name or address, or by id.

        Raises `NoSuchUser`.
        """
        identifier = _identifier(name_or_id)
        async with self._database.connect() as connection:
            key = await key_storage.find_identified_key(
                connection, username=identifier.username, address=identifier.address
            )
            if key is not None:
                return key.user
            user_id = _user_id(name_or_id)
            user = await storage.find_user(connection, user_id) if user_id else None
        if user is None:
            raise NoSuchUser
        return user

    async def get(self, user_id: UUID) -> UserRecord:
        """Return a user as operators see them. Raises `NoSuchUser`."""
        return await self._database.with_retry(require_record, user_id)

    async def read(self, user_id: UUID, context: RequestContext) -> UserRecord:
        """Return a user to a program, which is recorded. Raises `NoSuchUser`."""
        found = await self.get(user_id)
        record(Event.USER_READ, context, user_id=user_id)
        return found

    async def iter_users(self) -> AsyncIterator[User]:
        """Iterate over all users in the order of their ids, a page at a time."""
        after = UUID(int=0)
        while True:
            async with self._database.connect() as connection:
                page = await storage.list_users(connection, PAGE_LENGTH, after)
            for user in page:
                yield user
            if len(page) < PAGE_LENGTH:
                return
            after = page[-1].id

    async def delete(
        self,
        user_id: UUID,
        context: RequestContext,
        *,
        expected: Collection[str] | None = None,
    ) -> None:
        """Delete a user with all keys and sessions.

        Raises `NoSuchUser`, and `PreconditionFailed` if the user has none of the ``expected``
        revisions.
        """
        async with self._database.transaction() as connection:
            await storage.lock_user(connection, user_id)
            require_revision(await require_record(connection, user_id), expected)
            await self._notices.put(connection, MailKind.ACCOUNT_DELETED, user_id, context)
            await storage.delete_user(connection, user_id)
        record(Event.USER_DELETED, context, user_id=user_id)

    async def set_password(self, user: User, password: NewPassword) -> int:
        """Set a user's password and end all their sessions. Returns how many were live.

        Raises `ValidationFailed` and `NoKeyForPassword`.
        """
        if errors := username_in_password(user.username, password):
            raise ValidationFailed(errors)
        password_hash = await self._hasher.hash(password)
        async with self._database.transaction() as connection:
            await storage.lock_user(connection, user.id)
            if not await key_storage.set_password_hash(connection, user.id, password_hash):
                raise NoKeyForPassword
            await self._password_changes.complete(connection, user.id, OPERATOR)
            ended = await session_endings.end_all_sessions(connection, user.id)
        record(Event.PASSWORD_CHANGED, OPERATOR, user_id=user.id, ended=ended)
        return ended


def _identifier(text: str) -> Identifier:
    try:
        return Identifier.parse(text)
    except InvalidField:
        return Identifier(username=None, address=None)


def _user_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
