"""Service tokens in requests: looked up each time, so that one that was revoked opens nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from uuid import UUID

from service.auth.errors import InvalidServiceToken
from service.auth.programs.presented_tokens import PresentedToken
from service.model.service_tokens import ServiceToken
from service.storage.database import Database
from service.storage.programs import service_tokens as storage
from service.storage.programs.service_token_lookups import ServiceTokenLookups


class ServiceTokens:
    """The service tokens in ``database``, as programs present them."""

    def __init__(self, database: Database, lookups: ServiceTokenLookups) -> None:
        self._database = database
        self._lookups = lookups
        self._used: set[UUID] = set()
        self._has_new_use = asyncio.Event()

    async def authenticate(self, presented: PresentedToken | None) -> ServiceToken:
        """Return the service token that a program presents.

        Raises `InvalidServiceToken` unless there is one, its secret is right, and it is neither
        expired nor suspended.
        """
        if presented is None:
            raise InvalidServiceToken("there is no service token, or no well-formed one")
        found = await self._lookups.find(presented.id)
        is_right = presented.matches(None if found is None else found.secret_hash)
        if found is None or not is_right:
            raise InvalidServiceToken(
                f"the service token {presented.id} is unknown, expired, suspended or forged"
            )
        if not found.is_use_recorded and presented.id not in self._used:
            self._used.add(presented.id)
            self._has_new_use.set()
        return found.token

    async def wait(self, seconds: float) -> None:
        """Wait until a use is to be recorded, but no longer than so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._has_new_use.wait()
        self._has_new_use.clear()

    async def record_uses(self) -> None:
        """Record the uses since the last time: no request waits for it.

        Raises `DatabaseUnavailable`; then they are recorded the next time.
        """
        used = frozenset(self._used)
        if used:
            async with self._database.connect() as connection:
                await storage.record_use(connection, [*used])
            self._used -= used
