"""Accounts: sign-up, log-in, change of password and deletion."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.admissions import Admissions, record_sign_up
from service.auth.audit import Event, record
from service.auth.devices import DeviceToken
from service.auth.errors import (
    InvalidCredentials,
    UsernameTaken,
    ValidationFailed,
)
from service.auth.factors.second_factors import SecondFactors
from service.auth.hashing.fair_queue import Requester, address_block_of
from service.auth.hashing.hasher import Hasher
from service.auth.identifiers import Identifier
from service.auth.notices import Notices
from service.auth.password_changes import PasswordChanges
from service.auth.passwords import NewCredentials, NewPassword, Password, username_in_password
from service.auth.rate_limits import RateLimiter
from service.auth.sessions import LiveSession, OpenedSession, Sessions, lock_user_of
from service.auth.tokens import Token
from service.auth.uniform_timing import delay_refusal
from service.auth.username_holds import UsernameHolds
from service.auth.usernames import Username
from service.model.admissions import Admission
from service.model.exports import AccountExport
from service.model.mail import MailKind
from service.model.proofs import Proof
from service.model.request_context import RequestContext
from service.model.sessions import Method, Transport
from service.model.users import Key, PasswordHash, Provider, User
from service.storage import keys as key_storage
from service.storage import users as storage
from service.storage.database import Database
from service.storage.exports import export_user


class Accounts:
    """The accounts of the users in ``database``."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        database: Database,
        hasher: Hasher,
        sessions: Sessions,
        admissions: Admissions,
        rate_limiter: RateLimiter,
        username_holds: UsernameHolds,
        password_changes: PasswordChanges,
        second_factors: SecondFactors,
        notices: Notices,
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._sessions = sessions
        self._admissions = admissions
        self._rate_limiter = rate_limiter
        self._username_holds = username_holds
        self._password_changes = password_changes
        self._second_factors = second_factors
        self._notices = notices

    async def sign_up(
        self,
        credentials: NewCredentials,
        *,
        context: RequestContext,
        invitation: str = "",
        carried: Sequence[Token] = (),
        device: DeviceToken | None = None,
    ) -> OpenedSession:
        """Create a user and log them in.

        ``invitation`` is the token of one, which is used up only if all is well. Raises
        `SignUpClosed`, `AlreadyAuthenticated` if one of the tokens ``carried`` opens a live
        session, `InvalidInvitation`, `UsernameTaken`, `RateLimited` and `Overloaded`.
        """
        self._admissions.require_not_closed()
        await self._sessions.require_none(carried)
        requester = requester_of(context, credentials.username.name)
        await self._hasher.require_place(requester)
        async with self._rate_limiter.sign_up_attempt(context):
            invited = await self._admissions.check(invitation)
            password_hash = await self._hasher.hash(credentials.password, requester)
        async with self._database.transaction() as connection:
            admission = await self._admissions.admit(connection, invited)
            key = await add_user(connection, admission, credentials.username, password_hash)
            await self._username_holds.require_free(connection, credentials.username)
            opened, _ = await self._sessions.open(
                connection, Proof.by_password(key), context, presented=device
            )
        session_id = opened.session.id
        record_sign_up(admission, context, user_id=key.user.id, session_id=session_id)
        return opened

    async def log_in(  # noqa: PLR0913
        self,
        identifier: Identifier,
        password: Password,
        *,
        context: RequestContext,
        transport: Transport = Transport.COOKIE,
        carried: Sequence[Token] = (),
        device: DeviceToken | None = None,
    ) -> OpenedSession:
        """Open a session for a user and their password; the sessions of ``carried`` end.

        ``device`` is the token that the device presented. Raises `InvalidCredentials` for an
        unknown user and for a wrong password alike, after the same work; also `RateLimited` and
        `Overloaded`. Raises `SecondFactorRequired` for a user who has a factor: then no session
        was opened, and its answer opens one with the same ``transport``.
        """
        if device is None:
            # Whether a device is known, and has a place of its own, only the database can tell.
            await self._hasher.require_place(requester_of(context, identifier.name))
        async with self._rate_limiter.login_attempt(identifier, context, device=device) as attempt:
            known = attempt.is_known_device
            requester = requester_of(context, identifier.name, is_known=known)
            key, new_hash = await self._verify(attempt.key, password, requester, renew=True)
            if new_hash is not None:
                key = await self._replace_hash(key, new_hash, password, requester)
            if key.has_factor:
                raise await self._second_factors.ask_after_password(
                    key, transport, context, device=device, is_known_device=known
                )
            opened = await self._sessions.open_another(
                Proof.by_password(key),
                context,
                presented=device,
                carried=carried,
                settles=attempt.success,
            )
            attempt.is_settled = True
        record(
            Event.LOGGED_IN,
            context,
            user_id=key.user.id,
            session_id=opened.session.id,
            known_device=known,
        )
        if not known and key.user.email_verified_at is not None:
            await self._notices.put_new_device(key.user.id, context)
        return opened

    async def change_password(
        self, live: LiveSession, current: Password, new: NewPassword, context: RequestContext
    ) -> OpenedSession:
        """Change a user's password; the session gets a new token, and all others end.

        Raises `InvalidCredentials` if ``current`` is not the password, `ValidationFailed`,
        `RateLimited`, `Overloaded`, and `NotAuthenticated` if the session ended meanwhile.
        """
        if errors := username_in_password(live.user.username, new, field="new_password"):
            raise ValidationFailed(errors)
        # A live session counts like a known device.
        requester = requester_of(context, str(live.user.id), is_known=True)
        key = await self._confirm_password(live, current, context, requester)
        password_hash = await self._hasher.hash(new, requester)
        async with self._database.transaction() as connection:
            await storage.lock_user(connection, live.user.id)
            # The verified key first: a log-in with the old password waits for its lock, and fails.
            if not await key_storage.replace_password_hash(connection, key, password_hash):
                raise InvalidCredentials
            await key_storage.set_password_hash(connection, live.user.id, password_hash)
            await self._password_changes.complete(connection, live.user.id, context)
            opened, ended = await self._sessions.keep_only(connection, live, Method.PASSWORD)
        record(
            Event.PASSWORD_CHANGED,
            context,
            user_id=live.user.id,
            session_id=live.session.id,
            ended=ended,
        )
        return opened

    async def reauthenticate(
        self, live: LiveSession, password: Password, context: RequestContext
    ) -> OpenedSession:
        """Prove the user of a session again by their password; the session gets a new token.

        Raises `InvalidCredentials`, also if the password was changed meanwhile, `RateLimited`,
        `Overloaded`, and `NotAuthenticated` if the session ended meanwhile.
        """
        requester = requester_of(context, str(live.user.id), is_known=True)
        key = await self._confirm_password(live, password, context, requester)
        async with self._database.transaction() as connection:
            if not await key_storage.lock_verified_key(connection, key):
                raise InvalidCredentials
            opened = await self._sessions.prove_again(connection, live, Method.PASSWORD)
        record(Event.REAUTHENTICATED, context, user_id=live.user.id, session_id=live.session.id)
        return opened

    async def rename(self, live: LiveSession, username: Username, context: RequestContext) -> User:
        """Change the user name; the former one logs nobody in from now on. Returns the user.

        Raises `UsernameTaken`, also for a name that is held because another user gave it up,
        `RateLimited`, and `NotAuthenticated` if the session ended meanwhile.
        """
        await self._rate_limiter.admit_change(live.session, context)
        async with self._database.transaction() as connection:
            await lock_user_of(connection, live)
            await self._username_holds.give_up(connection, live.user.id)
            try:
                await set_username(connection, live.user.id, username)
            except key_storage.KeyExists as error:
                raise UsernameTaken from error
            await self._username_holds.require_free(connection, username, live.user.id)
            await storage.move_version(connection, live.user.id)
            kind = MailKind.USERNAME_CHANGED
            await self._notices.put(connection, kind, live.user.id, context)
        record(Event.USERNAME_CHANGED, context, user_id=live.user.id, session_id=live.session.id)
        return replace(live.user, username=username.display_name)

    async def export(self, live: LiveSession, context: RequestContext) -> AccountExport:
        """Return everything that is kept about the user, but for what opens their account.

        Raises `RateLimited`, and `NotAuthenticated` if the session ended meanwhile.
        """
        await self._rate_limiter.admit_change(live.session, context)
        async with self._database.transaction() as connection:
            await lock_user_of(connection, live)
            exported = await export_user(connection, live.user)
            await self._notices.put(connection, MailKind.DATA_EXPORTED, live.user.id, context)
        record(Event.ACCOUNT_EXPORTED, context, user_id=live.user.id, session_id=live.session.id)
        return exported

    async def delete_proven(self, live: LiveSession, context: RequestContext) -> None:
        """Delete the user of a session that was proven recently, with all keys and sessions.

        Raises `NotAuthenticated` if the session ended meanwhile.
        """
        async with self._database.transaction() as connection:
            await lock_user_of(connection, live)
            await self._notices.put(connection, MailKind.ACCOUNT_DELETED, live.user.id, context)
            await storage.delete_user(connection, live.user.id)
        record(Event.USER_DELETED, context, user_id=live.user.id, session_id=live.session.id)

    async def delete(self, live: LiveSession, password: Password, context: RequestContext) -> None:
        """Delete the user with all keys and sessions; the user name is held for a while.

        Raises `InvalidCredentials`, also if the password was changed meanwhile, `RateLimited`,
        `Overloaded`, and `NotAuthenticated` if the session ended meanwhile.
        """
        requester = requester_of(context, str(live.user.id), is_known=True)
        key = await self._confirm_password(live, password, context, requester)
        async with self._database.transaction() as connection:
            await lock_user_of(connection, live)
            await self._notices.put(connection, MailKind.ACCOUNT_DELETED, live.user.id, context)
            if not await storage.delete_user_of_key(connection, key):
                raise InvalidCredentials
        record(Event.USER_DELETED, context, user_id=live.user.id, session_id=live.session.id)

    async def _confirm_password(
        self, live: LiveSession, password: Password, context: RequestContext, requester: Requester
    ) -> Key:
        """Return the key with the user's password. Raises `InvalidCredentials`."""
        key = await self._database.with_retry(key_storage.find_password_key, live.user.id)
        async with self._rate_limiter.password_check(live.session, context):
            verified, _ = await self._verify(key, password, requester)
        return verified

    async def _verify(
        self, key: Key | None, password: Password, requester: Requester, *, renew: bool = False
    ) -> tuple[Key, PasswordHash | None]:
        """Return the key if its password is right, and with ``renew`` the hash to replace its own.

        Without a key the same work is done. Raises `InvalidCredentials`, for all reasons after the
        same time.
        """
        verified_hash = None if key is None else key.password_hash
        verification = await self._hasher.verify(verified_hash, password, requester, renew=renew)
        if key is None or not verification.matches:
            await delay_refusal(self._hasher, verification, password)
            raise InvalidCredentials
        return key, verification.new_hash

    async def _replace_hash(
        self, key: Key, new_hash: PasswordHash, password: Password, requester: Requester
    ) -> Key:
        """Return the key with a new hash of its verified password.

        If the hash was replaced meanwhile, by a simultaneous log-in for example, the password is
        verified against the new one. Raises `InvalidCredentials` if it is wrong.
        """
        async with self._database.connect() as connection:
            if await key_storage.replace_password_hash(connection, key, new_hash):
                return replace(key, password_hash=new_hash)
        found = await self._database.with_retry(key_storage.find_key, key.provider, key.name)
        key, _ = await self._verify(found, password, requester)
        return key


def requester_of(context: RequestContext, name: str, *, is_known: bool = False) -> Requester:
    """Return who waits for a hash. ``name`` is a prepared name or address, or a user's id."""
    return Requester(address_block_of(context.device.address), name, is_known)


async def add_user(
    connection: AsyncConnection,
    admission: Admission,
    username: Username,
    password_hash: PasswordHash,
) -> Key:
    """Create a user with a user name, in a transaction. Raises `UsernameTaken`."""
    try:
        return await storage.add_user(
            connection,
            admission,
            provider=Provider.USERNAME,
            name=username.name,
            display_name=username.display_name,
            password_hash=password_hash,
        )
    except key_storage.KeyExists as error:
        raise UsernameTaken from error


async def set_username(connection: AsyncConnection, user_id: UUID, username: Username) -> None:
    """Change the name of a user who is locked, or give them a first one. Raises `KeyExists`."""
    name, display_name = username.name, username.display_name
    if await key_storage.rename(connection, user_id, name, display_name):
        return
    password_key = await key_storage.find_password_key(connection, user_id)
    await key_storage.add_key(
        connection,
        user_id=user_id,
        provider=Provider.USERNAME,
        name=name,
        display_name=display_name,
        password_hash=None if password_key is None else password_key.password_hash,
    )
