"""Accounts: signing up and logging in with a user name and a password."""

from __future__ import annotations

from msgspec.structs import replace

from service.auth.errors import (
    AlreadyAuthenticated,
    FieldError,
    InvalidCredentials,
    InvalidField,
    UsernameTaken,
    ValidationFailed,
)
from service.auth.hashing import Hasher
from service.auth.passwords import NewPassword, Password, refuse_username_in_password
from service.auth.sessions import OpenedSession, Sessions
from service.auth.tokens import Token
from service.auth.usernames import ClaimedUsername, Username
from service.model import Device, Key, Provider
from service.storage import users as storage
from service.storage.database import Database


class Accounts:
    """The users in ``database``."""

    def __init__(self, database: Database, hasher: Hasher, sessions: Sessions) -> None:
        self._database = database
        self._hasher = hasher
        self._sessions = sessions

    async def sign_up(
        self,
        username: Username,
        password: NewPassword,
        *,
        device: Device,
        carried: Token | None = None,
    ) -> OpenedSession:
        """Make a user with a user name and a password, and log them in.

        Raises `AlreadyAuthenticated` if the ``carried`` token opens a session, `ValidationFailed`,
        `UsernameTaken` and `Overloaded`.
        """
        if errors := errors_between(username, password):
            raise ValidationFailed(errors)
        if carried is not None and await self._sessions.find(carried) is not None:
            raise AlreadyAuthenticated
        password_hash = await self._hasher.hash(password)
        try:
            async with self._database.transaction() as connection:
                key = await storage.add_user(
                    connection,
                    provider=Provider.USERNAME,
                    name=username.name,
                    display_name=username.display_name,
                    password_hash=password_hash,
                )
                return await self._sessions.open(connection, key, device)
        except storage.KeyTaken as error:
            raise UsernameTaken from error

    async def log_in(
        self,
        username: ClaimedUsername,
        password: Password,
        *,
        device: Device,
        carried: Token | None = None,
    ) -> OpenedSession:
        """Open a session for who knows the password; the one that ``carried`` opens ends with it.

        A name that nobody has costs the same work as a wrong password. Raises `InvalidCredentials`
        for both, and `Overloaded`.
        """
        key = await self._find_key(username)
        password_hash = key.password_hash if key is not None else None
        if not await self._hasher.verify(password_hash, password) or key is None:
            raise InvalidCredentials
        key = await self._with_current_hash(key, password)
        async with self._database.connect() as connection:
            return await self._sessions.open(connection, key, device, replaces=carried)

    async def _find_key(self, username: ClaimedUsername) -> Key | None:
        # An empty name is nobody's, and is looked up all the same: it must not answer faster.
        async with self._database.connect() as connection:
            return await storage.find_key(connection, Provider.USERNAME, username.name or "")

    async def _with_current_hash(self, key: Key, password: Password) -> Key:
        if key.password_hash is None:
            return key
        password_hash = await self._hasher.rehash(key.password_hash, password)
        if password_hash is None:
            return key
        async with self._database.connect() as connection:
            replaced = await storage.replace_password_hash(connection, key, password_hash)
        return replace(key, password_hash=password_hash) if replaced else key


def errors_between(username: Username, password: NewPassword) -> list[FieldError]:
    """What is wrong with a new password beside that very user name."""
    try:
        refuse_username_in_password(username.name, password)
    except InvalidField as error:
        return [error.of("password")]
    return []
