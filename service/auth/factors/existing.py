"""Existing factors: which a user has, and which of them work today."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.secret_keys import Keyring
from service.model.factors import ConfirmedTOTP
from service.model.passkeys import Passkey
from service.model.sessions import Method
from service.storage.database import Database
from service.storage.factors import existing as storage
from service.storage.factors import passkeys as passkey_storage
from service.storage.factors.existing import ExistingFactors


class FactorOverview(Struct, frozen=True, kw_only=True):
    """The factors of a user as they are shown; ``methods`` are those that work today."""

    totp: ConfirmedTOTP | None
    passkeys: list[Passkey]
    recovery_codes: int
    methods: list[Method]


class Factors:
    """The factors of the users in ``database``.

    Passkeys are those of the relying party ``rp_id``; the secrets of authenticator apps open with
    the keys of ``keyring``.
    """

    def __init__(self, database: Database, keyring: Keyring, rp_id: str | None) -> None:
        self._database = database
        self._keyring = keyring
        self._rp_id = rp_id

    async def overview(self, user_id: UUID) -> FactorOverview:
        """Return the factors of a user."""
        async with self._database.transaction() as connection:
            found = await self.find(connection, user_id)
            passkeys = await passkey_storage.list_passkeys(connection, user_id)
        return FactorOverview(
            totp=found.totp,
            passkeys=passkeys,
            recovery_codes=found.recovery_codes,
            methods=self.methods_of(found),
        )

    async def find(self, connection: AsyncConnection, user_id: UUID) -> ExistingFactors:
        """Return which factors a user has."""
        return await storage.find_existing_factors(connection, user_id, self._rp_id)

    def methods_of(self, found: ExistingFactors) -> list[Method]:
        """Return the methods by which a user with these factors can answer today.

        An app whose secret was given up, or whose key is missing, is no method, nor are passkeys of
        another site; a factor is asked for nevertheless.
        """
        methods = []
        if found.totp is not None and found.totp.key_id in self._keyring.ids:
            methods.append(Method.TOTP)
        if found.passkeys:
            methods.append(Method.PASSKEY)
        if found.recovery_codes and not found.are_none:
            methods.append(Method.RECOVERY_CODE)
        return methods
