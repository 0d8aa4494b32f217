"""Step-up: a live session is not enough, the user must have been proven recently (RFC 9470)."""

from __future__ import annotations

from service.auth.errors import NotAuthenticated, ReauthenticationRequired
from service.auth.sessions import LiveSession
from service.model.sessions import Method
from service.storage import keys as key_storage
from service.storage import sessions as storage
from service.storage.database import Database


class StepUp:
    """Asks for a proof that is at most ``period`` seconds old, by the database's clock."""

    def __init__(self, database: Database, period: float) -> None:
        self._database = database
        self._period = period

    async def require(self, live: LiveSession) -> None:
        """Raise `ReauthenticationRequired` if the user of a session was last proven before that.

        Also `NotAuthenticated`, if the session ended meanwhile.
        """
        is_recent = await self._database.with_retry(
            storage.was_proven_within, live.session.id, self._period
        )
        if is_recent is None:
            raise NotAuthenticated
        if not is_recent:
            raise ReauthenticationRequired(await self._methods_of(live), int(self._period))

    async def _methods_of(self, live: LiveSession) -> list[Method]:
        """Return the methods by which the user can be proven again."""
        key = await self._database.with_retry(key_storage.find_password_key, live.user.id)
        return [] if key is None else [Method.PASSWORD]
