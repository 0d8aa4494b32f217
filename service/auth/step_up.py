"""Step-up: a live session is not enough, the user must have authenticated recently (RFC 9470)."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.errors import NotAuthenticated, ReauthenticationRequired
from service.auth.factors.existing import Factors
from service.auth.sessions import LiveSession
from service.model.identities import oidc_method
from service.model.sessions import Method
from service.settings.oidc import OIDCProvider
from service.storage import emails as email_storage
from service.storage import identities as identity_storage
from service.storage import keys as key_storage
from service.storage import sessions as storage
from service.storage.database import Database
from service.storage.factors.existing import user_has_factor


class StepUp:
    """Asks for a proof that is at most ``period`` seconds old, by the database's clock."""

    def __init__(
        self,
        database: Database,
        factors: Factors,
        providers: Mapping[str, OIDCProvider],
        period: float,
        *,
        is_mail_available: bool,
    ) -> None:
        self._database = database
        self._factors = factors
        self._providers = providers
        self._is_mail_available = is_mail_available
        self._period = period

    async def require(self, live: LiveSession) -> None:
        """Raise `ReauthenticationRequired` if the user of a session was last proven before that.

        Nothing but a factor counts for a user who has one (see `storage.sessions.prove_again`).
        Also `NotAuthenticated`, if the session ended meanwhile.
        """
        is_recent = await self._database.with_retry(
            storage.was_proven_within, live.session.id, self._period
        )
        if is_recent is None:
            raise NotAuthenticated
        if not is_recent:
            methods = await self.methods_of(live.user.id)
            raise ReauthenticationRequired(methods, int(self._period))

    async def require_of_factor(self, live: LiveSession) -> None:
        """Raise as `require` does, but for users only who have a factor.

        For what a password in the request is enough for otherwise.
        """
        if await self._database.with_retry(user_has_factor, live.user.id):
            await self.require(live)

    async def methods_of(self, user_id: UUID) -> list[str]:
        """Return the methods by which a user can reauthenticate; none weaker than they have."""
        async with self._database.connect() as connection:
            return await self.methods_in(connection, user_id)

    async def methods_in(self, connection: AsyncConnection, user_id: UUID) -> list[str]:
        """Return the methods of `methods_of`, in a transaction.

        A provider that tells when it has authenticated its user comes before a mailed code, and one
        that does not after it.
        """
        found = await self._factors.find(connection, user_id)
        if not found.are_none:
            return [*self._factors.methods_of(found)]
        if await key_storage.find_password_key(connection, user_id):
            return [Method.PASSWORD]
        identities = await identity_storage.list_identities(connection, user_id)
        linked = [
            provider
            for provider in self._providers.values()
            if any(provider.issues(each.issuer) for each in identities)
        ]
        if telling := [each for each in linked if each.gives_auth_time]:
            return [oidc_method(each.name) for each in telling]
        if self._is_mail_available:
            address = await email_storage.find_verified_address(connection, user_id)
            if address is not None:
                return [Method.EMAIL_CODE]
        return [oidc_method(each.name) for each in linked]
