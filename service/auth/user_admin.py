"""User administration, for operators: no password of the user is needed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

from service.auth.accounts import add_user
from service.auth.audit import OPERATOR, Event, record
from service.auth.challenges import Challenges, Link
from service.auth.errors import InvalidField, NoKeyForPassword, NoSuchUser, ValidationFailed
from service.auth.hashing.hasher import Hasher
from service.auth.identifiers import Identifier
from service.auth.notices import Notices
from service.auth.password_changes import PasswordChanges
from service.auth.passwords import NewCredentials, NewPassword, username_in_password
from service.model.admissions import by_operator
from service.model.challenges import Purpose, Subject
from service.model.mail import MailKind
from service.model.sessions import ListedSession
from service.model.users import User
from service.storage import keys as key_storage
from service.storage import session_endings
from service.storage import sessions as session_storage
from service.storage import users as storage
from service.storage.database import Database

PAGE_LENGTH = 1000

# How many sessions are ended at a time, when all are.
SESSIONS_PER_BATCH = 10_000


class UserAdmin:
    """The users in ``database``."""

    def __init__(
        self,
        database: Database,
        hasher: Hasher,
        challenges: Challenges,
        password_changes: PasswordChanges,
        notices: Notices,
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._challenges = challenges
        self._password_changes = password_changes
        self._notices = notices

    async def create(self, credentials: NewCredentials) -> User:
        """Create a user without a session. Raises `UsernameTaken`."""
        password_hash = await self._hasher.hash(credentials.password)
        async with self._database.transaction() as connection:
            key = await add_user(connection, by_operator(), credentials.username, password_hash)
        record(Event.SIGNED_UP, OPERATOR, user_id=key.user.id)
        return key.user

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

    async def delete(self, user: User) -> None:
        """Delete a user with all keys and sessions."""
        async with self._database.transaction() as connection:
            await storage.lock_user(connection, user.id)
            await self._notices.put(connection, MailKind.ACCOUNT_DELETED, user.id, OPERATOR)
            await storage.delete_user(connection, user.id)
        record(Event.USER_DELETED, OPERATOR, user_id=user.id)

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

    async def make_reset_link(self, user: User) -> Link:
        """Make a link by which a user sets a new password, and notify the user.

        Raises `NoKeyForPassword` if no password could log the user in.
        """
        async with self._database.transaction() as connection:
            await storage.lock_user(connection, user.id)
            if not await key_storage.has_name(connection, user.id):
                raise NoKeyForPassword
            subject = Subject(user_id=user.id)
            made = await self._challenges.make(connection, Purpose.PASSWORD_RESET, subject)
            await self._notices.put(connection, MailKind.OPERATOR_RESET_LINK, user.id, OPERATOR)
        record(Event.RESET_LINK_MADE, OPERATOR, user_id=user.id)
        return self._challenges.link_of(Purpose.PASSWORD_RESET, made)

    async def end_all_sessions(self, user: User) -> int:
        """End all live sessions of a user. Returns how many."""
        async with self._database.connect() as connection:
            ended = await session_endings.end_all_sessions(connection, user.id)
        record(Event.ALL_SESSIONS_REVOKED, OPERATOR, user_id=user.id, ended=ended)
        return ended

    async def end_sessions_of_all(self) -> int:
        """End all sessions of all users, a batch at a time. Returns how many."""
        ended, batch = 0, SESSIONS_PER_BATCH
        while batch:
            async with self._database.connect() as connection:
                batch = await session_endings.end_any_sessions(connection, SESSIONS_PER_BATCH)
            ended += batch
        record(Event.ALL_SESSIONS_REVOKED, OPERATOR, ended=ended)
        return ended

    async def count_sessions(self, user: User) -> int:
        """Return the number of a user's live sessions."""
        async with self._database.connect() as connection:
            return await session_storage.count_sessions(connection, user.id)

    async def iter_sessions(self, user: User) -> AsyncIterator[ListedSession]:
        """Iterate over a user's live sessions, newest first, a page at a time."""
        older_than = None
        while True:
            async with self._database.connect() as connection:
                page = await session_storage.list_sessions(
                    connection, user.id, PAGE_LENGTH, older_than
                )
            for listed in page:
                yield listed
            if len(page) < PAGE_LENGTH:
                return
            older_than = page[-1].session.created_at, page[-1].session.id


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
