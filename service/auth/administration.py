"""Users, as the person on call deals with them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

from service.auth.accounts import add_user, errors_between
from service.auth.audit import OPERATOR, Event, record
from service.auth.errors import InvalidField, NoSuchUser, ValidationFailed
from service.auth.hashing import Hasher
from service.auth.passwords import NewPassword
from service.auth.usernames import Username, prepare
from service.model import Provider, User
from service.storage import sessions as session_storage
from service.storage import users as storage
from service.storage.database import Database

PAGE_LENGTH = 1000


class Administration:
    """The users in ``database``. No password of theirs is needed."""

    def __init__(self, database: Database, hasher: Hasher) -> None:
        self._database = database
        self._hasher = hasher

    async def create(self, username: Username, password: NewPassword) -> User:
        """Make a user without a session. Raises `ValidationFailed` and `UsernameTaken`."""
        if errors := errors_between(username.name, password):
            raise ValidationFailed(errors)
        password_hash = await self._hasher.hash(password)
        async with self._database.transaction() as connection:
            key = await add_user(connection, username, password_hash)
        record(Event.SIGNED_UP, OPERATOR, user_id=key.user.id)
        return key.user

    async def find(self, name_or_id: str) -> User:
        """Find a user by any spelling of the user name, or by id. Raises `NoSuchUser`."""
        async with self._database.connect() as connection:
            key = await storage.find_key(connection, Provider.USERNAME, _name(name_or_id))
            if key is not None:
                return key.user
            user_id = _user_id(name_or_id)
            user = await storage.find_user(connection, user_id) if user_id else None
        if user is None:
            raise NoSuchUser
        return user

    async def everybody(self) -> AsyncIterator[User]:
        """All users in the order of their ids, read a page at a time."""
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
        """Delete a user with keys and sessions."""
        async with self._database.connect() as connection:
            await storage.delete_user(connection, user.id)
        record(Event.USER_DELETED, OPERATOR, user_id=user.id)

    async def set_password(self, user: User, password: NewPassword) -> int:
        """Give a user another password and end all their sessions; tell how many those were.

        Raises `ValidationFailed`.
        """
        if errors := errors_between(user.username, password):
            raise ValidationFailed(errors)
        password_hash = await self._hasher.hash(password)
        async with self._database.transaction() as connection:
            await storage.set_password_hash(connection, user.id, password_hash)
            ended = await session_storage.end_all_sessions(connection, user.id)
        record(Event.PASSWORD_CHANGED, OPERATOR, user_id=user.id, ended=ended)
        return ended

    async def end_all_sessions(self, user: User) -> int:
        """Log a user out everywhere; tell how many sessions that were."""
        async with self._database.connect() as connection:
            ended = await session_storage.end_all_sessions(connection, user.id)
        record(Event.ALL_SESSIONS_REVOKED, OPERATOR, user_id=user.id, ended=ended)
        return ended


def _name(text: str) -> str:
    try:
        return prepare(text)
    except InvalidField:
        return ""


def _user_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
