"""Ways in: by what a user could log in today, before one of them is removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.errors import LastWayIn
from service.settings.oidc import OIDCProvider
from service.storage import ways_in as storage


class WaysIn:
    """Ways in of users: passkeys count of the relying party ``rp_id``, addresses with mail.

    Identities count of ``providers``.
    """

    def __init__(
        self, rp_id: str | None, providers: Mapping[str, OIDCProvider], *, is_mail_available: bool
    ) -> None:
        self._rp_id = rp_id
        self._providers = providers
        self._is_mail_available = is_mail_available

    async def require_one(self, connection: AsyncConnection, user_id: UUID) -> None:
        """Raise `LastWayIn` if a user, who is locked, has none left in the transaction.

        A password with a name is one, a passkey, and an identity; a verified address is one where
        links to reset the password are mailed.
        """
        found = await storage.find_ways_in(connection, user_id, self._rp_id)
        if found.has_password or found.passkeys or self._has_identity(found.issuers):
            return
        if not (self._is_mail_available and found.has_verified_address):
            raise LastWayIn

    async def require_without_password(self, connection: AsyncConnection, user_id: UUID) -> None:
        """Raise `LastWayIn` unless a user has a passkey, and another one or a verified address."""
        found = await storage.find_ways_in(connection, user_id, self._rp_id)
        has_address = self._is_mail_available and found.has_verified_address
        if not found.passkeys or (found.passkeys < 2 and not has_address):  # noqa: PLR2004
            raise LastWayIn

    def _has_identity(self, issuers: Sequence[str]) -> bool:
        providers = self._providers.values()
        return any(provider.issues(each) for provider in providers for each in issuers)
