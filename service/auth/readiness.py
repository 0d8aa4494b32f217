"""Readiness: whether the service can serve requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context

from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.errors import DatabaseUnavailable, Draining, HashingUnavailable, SchemaBehind
from service.auth.hashing.hasher import Hasher
from service.storage.database import Database
from service.storage.schema import SchemaState, current_state, is_behind

# Maximum time of a check, in seconds: less than load balancers wait.
CHECK_TIMEOUT = 2.0


class Readiness:
    """Checks PostgreSQL on connections of its own, so that no load on the others delays it."""

    def __init__(self, database: Database, hasher: Hasher, is_draining: Callable[[], bool]) -> None:
        self._database = database
        self._hasher = hasher
        self._is_draining = is_draining
        self._under_way: asyncio.Task[None] | None = None

    async def check(self) -> None:
        """Check that the database takes writes and has all migrations, and that hashing works.

        A service that drains is not ready, whatever works. A call during a check gets the result of
        that check. A schema that is ahead is accepted: another machine may run a newer version
        already. Raises `Draining`, `DatabaseUnavailable`, `SchemaBehind` and `HashingUnavailable`.
        """
        if self._is_draining():
            raise Draining
        if self._under_way is None:
            # A context of its own: the deadline of one request is not that of the others.
            check = asyncio.get_running_loop().create_task(self._check(), context=Context())
            check.add_done_callback(self._forget)
            self._under_way = check
        await asyncio.shield(self._under_way)

    def _forget(self, check: asyncio.Task[None]) -> None:
        self._under_way = None
        if not check.cancelled():
            check.exception()

    async def _check(self) -> None:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                state = await self._database.with_retry(_fresh_state)
        except TimeoutError as error:
            raise DatabaseUnavailable("no answer in time") from error
        if state.is_read_only:
            raise DatabaseUnavailable("the server is read-only")
        if is_behind(state.revision):
            raise SchemaBehind(f"the schema is at revision {state.revision}")
        if not self._hasher.is_alive:
            raise HashingUnavailable


async def _fresh_state(connection: AsyncConnection) -> SchemaState:
    """Return the state of the database; a server that takes no writes is connected to anew."""
    state = await current_state(connection)
    if state.is_read_only:
        await connection.invalidate()
    return state
