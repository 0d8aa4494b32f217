"""Authenticator apps: set up, confirmed by a first code, and removed."""

from __future__ import annotations

from uuid import UUID, uuid4

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.audit import Event, record
from service.auth.errors import AlreadySetUp, InvalidCode, NoFactor, RateLimited
from service.auth.factors.changes import FactorChanges
from service.auth.factors.proofs import FactorProofs
from service.auth.factors.recovery_codes import RecoveryCode
from service.auth.factors.totp import TOTPCode, base32_of, generator_of, new_secret
from service.auth.secret_keys import KeyPurpose, Keyring
from service.auth.sessions import LiveSession, lock_user_of
from service.model.factors import TOTP
from service.model.request_context import RequestContext
from service.model.sealed_secrets import SealedSecret
from service.model.sessions import Method
from service.storage import sealed_secrets as secret_storage
from service.storage import sessions as session_storage
from service.storage.database import Database
from service.storage.factors import totp as storage


class TOTPSetUp(Struct, frozen=True, kw_only=True):
    """What an authenticator app needs, which is shown once. Its ``repr`` hides it."""

    secret: str
    uri: str

    def __repr__(self) -> str:
        return "TOTPSetUp(…)"


class AuthenticatorApps:
    """The authenticator apps of the users in ``database``, which show the site as ``issuer``."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        proofs: FactorProofs,
        changes: FactorChanges,
        issuer: str,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._proofs = proofs
        self._changes = changes
        self._issuer = issuer

    async def set_up(self, live: LiveSession) -> TOTPSetUp:
        """Create a secret for an app, which is no factor until a code of it has confirmed it.

        An earlier one that was not confirmed is void. Raises `AlreadySetUp` if the user has an app,
        and `NotAuthenticated` if the session ended meanwhile.
        """
        secret, secret_id, user_id = new_secret(), uuid4(), live.user.id
        purpose = KeyPurpose.TOTP_SECRET
        sealed = SealedSecret(
            id=secret_id, purpose=purpose, sealed=self._keyring.seal(purpose, secret_id, secret)
        )
        async with self._database.transaction() as connection:
            await lock_user_of(connection, live)
            if not await storage.put_pending_totp(connection, user_id, secret_id):
                raise AlreadySetUp
            await storage.remove_secrets(connection, user_id, purpose)
            await secret_storage.add_sealed_secret(connection, sealed, user_id)
        name = live.user.username or live.user.email or str(user_id)
        uri = generator_of(secret).provisioning_uri(name=name, issuer_name=self._issuer)
        return TOTPSetUp(secret=base32_of(secret), uri=uri)

    async def confirm(
        self, live: LiveSession, code: TOTPCode, context: RequestContext
    ) -> list[RecoveryCode] | None:
        """Make the app that was set up a factor, by a code of it.

        Returns recovery codes if it is the first factor. Raises `InvalidCode`, `NoFactor` if no app
        waits to be confirmed, `RateLimited`, and `NotAuthenticated` if the session ended meanwhile.
        """
        user_id, session_id, codes = live.user.id, live.session.id, None
        try:
            async with self._database.transaction() as connection:
                await lock_user_of(connection, live)
                app = await self._pending(connection, user_id)
                device = await session_storage.find_device(connection, session_id)
                is_right = await self._proofs.uses_code(connection, user_id, app, code, device)
                if is_right:
                    addition = await self._changes.begin_addition(
                        connection, live, Method.TOTP, context
                    )
                    await storage.confirm_totp(connection, user_id)
                    codes = await self._changes.complete_addition(connection, addition)
        except RateLimited:
            record(Event.SECOND_FACTOR_THROTTLED, context, user_id=user_id, session_id=session_id)
            raise
        if not is_right:
            record(Event.SECOND_FACTOR_FAILED, context, user_id=user_id, session_id=session_id)
            raise InvalidCode
        return codes

    async def remove(self, live: LiveSession, context: RequestContext) -> None:
        """Remove the app of a user.

        Raises `NoFactor` if there is none, and `NotAuthenticated` if the session ended meanwhile.
        """
        async with self._database.transaction() as connection:
            await lock_user_of(connection, live)
            if not await storage.remove_totp(connection, live.user.id):
                raise NoFactor
            await storage.remove_secrets(connection, live.user.id, KeyPurpose.TOTP_SECRET)
            await self._changes.complete_removal(
                connection, live.user.id, Method.TOTP, context, kept_session=live.session.id
            )

    @staticmethod
    async def _pending(connection: AsyncConnection, user_id: UUID) -> TOTP:
        """Return the app of a user that waits to be confirmed. Raises `NoFactor`."""
        found = await storage.find_totp(connection, user_id)
        if found is None or found.confirmed_at is not None:
            raise NoFactor
        return found
