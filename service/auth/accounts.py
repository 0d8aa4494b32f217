"""Accounts: signing up and logging in with a user name and a password."""

from __future__ import annotations

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.audit import Event, record, refusals_recorded, throttling_recorded
from service.auth.errors import (
    AlreadyAuthenticated,
    FieldError,
    InvalidCredentials,
    InvalidField,
    Overloaded,
    UsernameTaken,
    ValidationFailed,
)
from service.auth.even_refusals import even_refusals
from service.auth.guessing import Guessing
from service.auth.hashing import Hasher
from service.auth.passwords import NewPassword, Password, refuse_username_in_password
from service.auth.sessions import LiveSession, OpenedSession, Sessions
from service.auth.tokens import Token
from service.auth.usernames import ClaimedUsername, Username
from service.model import Caller, Key, PasswordHash, Provider, User
from service.storage import users as storage
from service.storage.database import Database


class Accounts:
    """The users in ``database``."""

    def __init__(
        self, database: Database, hasher: Hasher, sessions: Sessions, guessing: Guessing
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._sessions = sessions
        self._guessing = guessing

    async def sign_up(
        self,
        username: Username,
        password: NewPassword,
        *,
        caller: Caller,
        carried: Token | None = None,
    ) -> OpenedSession:
        """Make a user with a user name and a password, and log them in.

        Raises `AlreadyAuthenticated` if the ``carried`` token opens a session, `ValidationFailed`,
        `UsernameTaken`, `RateLimited` and `Overloaded`.
        """
        if errors := errors_between(username.name, password):
            raise ValidationFailed(errors)
        if carried is not None and await self._sessions.find(carried) is not None:
            raise AlreadyAuthenticated
        with throttling_recorded(Event.SIGN_UP_THROTTLED, caller):
            attempt = await self._guessing.admit_sign_up(caller)
        try:
            password_hash = await self._hasher.hash(password)
        except Overloaded:
            await self._guessing.give_back(attempt)
            raise
        async with self._database.transaction() as connection:
            key = await add_user(connection, username, password_hash)
            opened = await self._sessions.open(connection, key, caller.device)
        record(Event.SIGNED_UP, caller, user_id=key.user.id, session_id=opened.session.id)
        return opened

    async def log_in(
        self,
        username: ClaimedUsername,
        password: Password,
        *,
        caller: Caller,
        carried: Token | None = None,
    ) -> OpenedSession:
        """Open a session for who knows the password; the one that ``carried`` opens ends with it.

        A name that nobody has costs the same work as a wrong password. Raises `InvalidCredentials`
        for both, `RateLimited` and `Overloaded`.
        """
        # An empty name is nobody's, and is looked up all the same.
        name = username.name or ""
        found = await self._find_key(name)
        user_id = found.user.id if found is not None else None
        with refusals_recorded(
            Event.LOG_IN_FAILED, Event.LOG_IN_THROTTLED, caller, user_id=user_id
        ):
            verified = await self._prove(found, name, password, caller)
        key = await self._with_current_hash(verified, password)
        if key is None:
            key = await self._verified(await self._find_key(name), password)
        async with self._database.connect() as connection:
            opened = await self._sessions.open(connection, key, caller.device, replaces=carried)
        record(Event.LOGGED_IN, caller, user_id=key.user.id, session_id=opened.session.id)
        return opened

    async def change_password(
        self, live: LiveSession, current: Password, new: NewPassword, caller: Caller
    ) -> OpenedSession:
        """Give the user another password and the session another token; all other sessions end.

        Raises `InvalidCredentials` if ``current`` is not the password, `ValidationFailed`,
        `RateLimited`, `Overloaded`, and `NotAuthenticated` if the session ended meanwhile.
        """
        if errors := errors_between(live.user.username, new, "new_password"):
            raise ValidationFailed(errors)
        key = await self._proven_key(live.user, current, caller)
        password_hash = await self._hasher.hash(new)
        async with self._database.transaction() as connection:
            # The verified key first: a log-in by the old password waits for it, then finds it gone.
            if not await storage.replace_password_hash(connection, key, password_hash):
                raise InvalidCredentials
            await storage.set_password_hash(connection, live.user.id, password_hash)
            opened = await self._sessions.keep_only(connection, live)
        record(Event.PASSWORD_CHANGED, caller, user_id=live.user.id, session_id=live.session.id)
        return opened

    async def delete(self, live: LiveSession, password: Password, caller: Caller) -> None:
        """Delete the user, with keys and sessions; the user name is free again.

        Raises `InvalidCredentials`, `RateLimited` and `Overloaded`.
        """
        await self._proven_key(live.user, password, caller)
        async with self._database.connect() as connection:
            await storage.delete_user(connection, live.user.id)
        record(Event.USER_DELETED, caller, user_id=live.user.id, session_id=live.session.id)

    async def _proven_key(self, user: User, password: Password, caller: Caller) -> Key:
        async with self._database.connect() as connection:
            key = await storage.find_password_key(connection, user.id)
        name = key.name if key is not None else str(user.id)
        with refusals_recorded(
            Event.PASSWORD_REFUSED, Event.PASSWORD_THROTTLED, caller, user_id=user.id
        ):
            return await self._prove(key, name, password, caller)

    async def _prove(self, key: Key | None, name: str, password: Password, caller: Caller) -> Key:
        """The key, if the password is its own and nobody has guessed at it too often.

        All refusals take equally long; an attempt that was right, or not looked at, is given back.
        """
        async with even_refusals(self._hasher):
            attempt = await self._guessing.admit_log_in(name, caller)
            try:
                verified = await self._verified(key, password)
            except Overloaded:
                await self._guessing.give_back(attempt)
                raise
        await self._guessing.give_back(attempt)
        return verified

    async def _verified(self, key: Key | None, password: Password) -> Key:
        """The key, if the password is its own. Without a key the same work is done, for nothing."""
        password_hash = key.password_hash if key is not None else None
        if not await self._hasher.verify(password_hash, password) or key is None:
            raise InvalidCredentials
        return key

    async def _find_key(self, name: str) -> Key | None:
        async with self._database.connect() as connection:
            return await storage.find_key(connection, Provider.USERNAME, name)

    async def _with_current_hash(self, key: Key, password: Password) -> Key | None:
        """The key, hashed anew if its hash is not as ours are; nothing if it changed meanwhile.

        As by a log-in at the same time, which hashed it anew as well.
        """
        if key.password_hash is None:
            return key
        password_hash = await self._hasher.rehash(key.password_hash, password)
        if password_hash is None:
            return key
        async with self._database.connect() as connection:
            replaced = await storage.replace_password_hash(connection, key, password_hash)
        return replace(key, password_hash=password_hash) if replaced else None


async def add_user(
    connection: AsyncConnection, username: Username, password_hash: PasswordHash
) -> Key:
    """Make a user with a user name; to be called in a transaction. Raises `UsernameTaken`."""
    try:
        return await storage.add_user(
            connection,
            provider=Provider.USERNAME,
            name=username.name,
            display_name=username.display_name,
            password_hash=password_hash,
        )
    except storage.KeyTaken as error:
        raise UsernameTaken from error


def errors_between(
    username: str | None, password: NewPassword, field: str = "password"
) -> list[FieldError]:
    """What is wrong with a new password, in ``field``, beside that very user name."""
    try:
        refuse_username_in_password(username, password)
    except InvalidField as error:
        return [error.of(field)]
    return []
