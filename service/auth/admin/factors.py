"""Factors for operators and other programs: which a user has, and the removal of a lost one."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.audit import Event, record
from service.auth.errors import NoSuchFactor, NoSuchUser
from service.auth.factors.changes import FactorChanges
from service.auth.factors.existing import FactorOverview, Factors
from service.auth.secret_keys import KeyPurpose
from service.model.request_context import RequestContext
from service.model.sessions import Method
from service.storage import users as user_storage
from service.storage.database import Database
from service.storage.factors import passkeys as passkey_storage
from service.storage.factors import totp as totp_storage


class FactorAdmin:
    """The factors of the users in ``database``."""

    def __init__(self, database: Database, factors: Factors, changes: FactorChanges) -> None:
        self._database = database
        self._factors = factors
        self._changes = changes

    async def overview(self, user_id: UUID) -> FactorOverview:
        """Return the factors of a user."""
        return await self._factors.overview(user_id)

    async def read(self, user_id: UUID, context: RequestContext) -> FactorOverview:
        """Return the factors of a user to a program. It is recorded. Raises `NoSuchUser`."""
        if await self._database.with_retry(user_storage.find_user, user_id) is None:
            raise NoSuchUser
        overview = await self.overview(user_id)
        record(Event.FACTORS_READ, context, user_id=user_id)
        return overview

    async def remove_totp(self, user_id: UUID, context: RequestContext) -> None:
        """Remove the authenticator app of a user, and notify them; sessions that it proved end.

        Raises `NoSuchFactor`.
        """
        async with self._database.transaction() as connection:
            await user_storage.lock_user(connection, user_id)
            if not await totp_storage.remove_totp(connection, user_id):
                raise NoSuchFactor
            await totp_storage.remove_secrets(connection, user_id, KeyPurpose.TOTP_SECRET)
            await self._complete(connection, user_id, Method.TOTP, context)

    async def remove_passkey(
        self, user_id: UUID, passkey_id: UUID, context: RequestContext
    ) -> None:
        """Remove a passkey of a user, and notify them; sessions that a passkey proved end.

        It may be the last way in: a reset link makes another. Raises `NoSuchFactor`.
        """
        async with self._database.transaction() as connection:
            await user_storage.lock_user(connection, user_id)
            if not await passkey_storage.remove_passkey(connection, user_id, passkey_id):
                raise NoSuchFactor
            await self._complete(connection, user_id, Method.PASSKEY, context)

    async def _complete(
        self,
        connection: AsyncConnection,
        user_id: UUID,
        method: Method,
        context: RequestContext,
    ) -> None:
        await self._changes.complete_removal(
            connection, user_id, method, context, kept_session=None
        )
