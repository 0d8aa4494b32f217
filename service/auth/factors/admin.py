"""Factors for operators: which a user has, and the removal of one that was lost."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.audit import OPERATOR
from service.auth.errors import NoFactor
from service.auth.factors.changes import FactorChanges
from service.auth.factors.existing import FactorOverview, Factors
from service.auth.secret_keys import KeyPurpose
from service.model.sessions import Method
from service.model.users import User
from service.storage import users as user_storage
from service.storage.database import Database
from service.storage.factors import passkeys as passkey_storage
from service.storage.factors import totp as totp_storage


class FactorAdmin:
    """The factors of the users in ``database``, for operators."""

    def __init__(self, database: Database, factors: Factors, changes: FactorChanges) -> None:
        self._database = database
        self._factors = factors
        self._changes = changes

    async def overview(self, user: User) -> FactorOverview:
        """Return the factors of a user."""
        return await self._factors.overview(user.id)

    async def remove_totp(self, user: User) -> None:
        """Remove the authenticator app of a user, and notify them; sessions that it proved end.

        Raises `NoFactor`.
        """
        async with self._database.transaction() as connection:
            await user_storage.lock_user(connection, user.id)
            if not await totp_storage.remove_totp(connection, user.id):
                raise NoFactor
            await totp_storage.remove_secrets(connection, user.id, KeyPurpose.TOTP_SECRET)
            await self._complete(connection, user, Method.TOTP)

    async def remove_passkey(self, user: User, passkey_id: UUID) -> None:
        """Remove a passkey of a user, and notify them; sessions that a passkey proved end.

        It may be the last way in: `ostiary user reset-link` makes another. Raises `NoFactor`.
        """
        async with self._database.transaction() as connection:
            await user_storage.lock_user(connection, user.id)
            if not await passkey_storage.remove_passkey(connection, user.id, passkey_id):
                raise NoFactor
            await self._complete(connection, user, Method.PASSKEY)

    async def _complete(self, connection: AsyncConnection, user: User, method: Method) -> None:
        await self._changes.complete_removal(
            connection, user.id, method, OPERATOR, kept_session=None
        )
