"""User names that were given up: for a while only their former owner has them.

Applications may know a user by name, so a name that changes hands at once would hand over whatever
they keep under it. A name is given up by a change of the user name, and by deletion, after which
nobody can take it back. An operator can give it to anybody.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.errors import UsernameTaken
from service.auth.usernames import Username
from service.storage import username_holds as storage


class UsernameHolds:
    """The user names that were given up less than ``hold`` seconds ago."""

    def __init__(self, hold: float) -> None:
        self._hold = hold

    async def give_up(self, connection: AsyncConnection, user_id: UUID) -> None:
        """Hold a user's name, in the transaction that changes it, before it does."""
        await storage.hold_usernames(connection, user_id)

    async def require_free(
        self, connection: AsyncConnection, username: Username, taker_id: UUID | None = None
    ) -> None:
        """Check a name that was taken in this transaction. Raises `UsernameTaken`.

        Afterwards: who takes a name at the moment it is given up waits for the other transaction,
        and only then sees that it is held.
        """
        if await storage.is_held(connection, username.name, self._hold, taker_id=taker_id):
            raise UsernameTaken
