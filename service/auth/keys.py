"""Keys: several ways to recognise one user."""

from __future__ import annotations

from uuid import UUID

from service.auth.errors import KeyTaken, LastKey, NoSuchKey
from service.model import KeyInfo, PasswordHash, Provider
from service.storage import users as storage
from service.storage.database import Database

# Whoever names one of these must show a password; every other provider vouches for the user itself.
PROVIDERS_WITH_PASSWORD = frozenset({Provider.USERNAME, "email"})


class Keys:
    """The keys of the users in ``database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, user_id: UUID) -> list[KeyInfo]:
        """The keys of a user, oldest first."""
        async with self._database.connect() as connection:
            return await storage.list_keys(connection, user_id)

    async def add(
        self,
        user_id: UUID,
        provider: str,
        name: str,
        *,
        display_name: str | None = None,
        password_hash: PasswordHash | None = None,
    ) -> None:
        """Give a user one more key. ``name`` is in prepared form. Raises `KeyTaken`."""
        try:
            async with self._database.connect() as connection:
                await storage.add_key(
                    connection,
                    user_id=user_id,
                    provider=provider,
                    name=name,
                    display_name=display_name or name,
                    password_hash=password_hash,
                )
        except storage.KeyTaken as error:
            raise KeyTaken from error

    async def remove(self, user_id: UUID, provider: str, name: str) -> None:
        """Take a key from a user. Raises `NoSuchKey`, and `LastKey` if no usable one would be left.

        Removals for one user wait for each other, so that two cannot take the last two keys.
        """
        async with self._database.transaction() as connection:
            await storage.lock_user(connection, user_id)
            keys = await storage.list_keys(connection, user_id)
            left = [key for key in keys if (key.provider, key.name) != (provider, name)]
            if len(left) == len(keys):
                raise NoSuchKey
            if not any(map(is_usable, left)):
                raise LastKey
            await storage.remove_key(connection, user_id, provider, name)


def is_usable(key: KeyInfo) -> bool:
    """Tell whether somebody can log in with the key."""
    return key.has_password or key.provider not in PROVIDERS_WITH_PASSWORD
