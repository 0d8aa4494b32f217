"""Keys: the names by which a user logs in."""

from __future__ import annotations

from uuid import UUID

from service.auth.errors import KeyTaken, LastKey, NoSuchKey
from service.model.users import KeyInfo, PasswordHash, Provider
from service.storage import keys as storage
from service.storage.database import Database
from service.storage.users import lock_user

# Providers whose names log in by password; with any other, the provider proves who the user is.
PROVIDERS_WITH_PASSWORD = frozenset({Provider.USERNAME, "email"})


class Keys:
    """The keys of the users in ``database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, user_id: UUID) -> list[KeyInfo]:
        """Return the keys of a user, oldest first."""
        return await self._database.with_retry(storage.list_keys, user_id)

    async def add(
        self,
        user_id: UUID,
        provider: str,
        name: str,
        *,
        display_name: str | None = None,
        password_hash: PasswordHash | None = None,
    ) -> None:
        """Add a key to a user. ``name`` is in prepared form. Raises `KeyTaken`."""
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
        except storage.KeyExists as error:
            raise KeyTaken from error

    async def remove(self, user_id: UUID, provider: str, name: str) -> None:
        """Remove a key of a user. Raises `NoSuchKey`, and `LastKey` if no usable key would be left.

        The user is locked, so that two simultaneous removals cannot remove the last two keys.
        """
        async with self._database.transaction() as connection:
            await lock_user(connection, user_id)
            keys = await storage.list_keys(connection, user_id)
            left = [key for key in keys if (key.provider, key.name) != (provider, name)]
            if len(left) == len(keys):
                raise NoSuchKey
            if not any(map(is_usable, left)):
                raise LastKey
            await storage.remove_key(connection, user_id, provider, name)


def is_usable(key: KeyInfo) -> bool:
    """Return whether its user can log in with the key."""
    return key.has_password or key.provider not in PROVIDERS_WITH_PASSWORD
