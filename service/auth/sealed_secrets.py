"""Sealed secrets: which keys they depend on, and how they move from one key to another."""

from __future__ import annotations

from service.auth.errors import KeyInUse, SecretKeyMissing
from service.auth.secret_keys import KeyPurpose, Keyring
from service.model.sealed_secrets import KeyUse
from service.storage import challenges as challenge_storage
from service.storage import sealed_secrets as storage
from service.storage.database import Database

# How many are sealed anew in one transaction, which locks their rows.
RESEALED_PER_BATCH = 100


class SealedSecrets:
    """The sealed secrets in ``database``, for operators."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def key_uses(self) -> list[KeyUse]:
        """Return what depends on each key: first those that there are, newest first."""
        async with self._database.connect() as connection:
            sealed = await storage.count_by_key(connection)
        async with self._database.connect() as connection:
            derived = await challenge_storage.latest_expiry_by_key(connection)
        known = self._keyring.ids
        missing = sorted((sealed.keys() | derived.keys()) - set(known))
        return [
            KeyUse(
                key_id=key_id,
                sealed_secrets=sealed.get(key_id, 0),
                derived_until=derived.get(key_id),
            )
            for key_id in [*known, *missing]
        ]

    async def require_keys(self) -> None:
        """Check that all sealed secrets can be opened. Raises `SecretKeyMissing`."""
        async with self._database.connect() as connection:
            sealed = await storage.count_by_key(connection)
        for key_id in sorted(sealed.keys() - set(self._keyring.ids)):
            raise SecretKeyMissing(key_id, sealed[key_id])

    async def reseal(self) -> int:
        """Seal with the newest key what others have sealed, a batch at a time. Returns how many.

        Several processes may do so together. Secrets whose key is missing stay as they are. Raises
        `SecretUnreadable`; what was resealed before stays so.
        """
        resealed, batch = 0, RESEALED_PER_BATCH
        while batch:
            batch = await self._reseal_batch()
            resealed += batch
        return resealed

    async def _reseal_batch(self) -> int:
        keyring = self._keyring
        async with self._database.transaction() as connection:
            batch = await storage.lock_sealed_otherwise(
                connection, keyring.current_id, keyring.ids, RESEALED_PER_BATCH
            )
            for each in batch:
                purpose = KeyPurpose(each.purpose)
                secret = keyring.open(purpose, each.id, each.sealed)
                resealed = keyring.seal(purpose, each.id, secret)
                await storage.replace_sealed(connection, each.id, resealed)
        return len(batch)

    async def forget(self, key_id: str) -> int:
        """Delete the secrets that a missing key has sealed. Returns how many. Raises `KeyInUse`."""
        if key_id in self._keyring.ids:
            raise KeyInUse
        async with self._database.connect() as connection:
            return await storage.delete_sealed_by(connection, key_id)
