"""The rotation of signing keys, by operators, and the deletion of those that are not needed."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.audit import OPERATOR, Event, record
from service.auth.errors import RotationUnderWay
from service.auth.programs.signing_keys import PUBLISHED_AFTER, PUBLISHED_BEFORE, add_signing_key
from service.auth.secret_keys import Keyring
from service.model.signing_keys import SigningKey
from service.storage.database import Database
from service.storage.programs import signing_keys as storage

# How long a key is listed after it has signed for the last time, or was revoked.
LISTED_AFTER = timedelta(days=1)


class KeyState(StrEnum):
    """What a key does. It is published in the first three states."""

    NEXT = "next"
    SIGNING = "signing"
    PUBLISHED = "published"
    RETIRED = "retired"
    REVOKED = "revoked"


class ListedKey(Struct, frozen=True, kw_only=True):
    """A key, and its state when it was listed."""

    key: SigningKey
    state: KeyState


class KeyRotation:
    """Rotates the signing keys in ``database``, whose private parts ``keyring`` seals."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def rotate(self, *, at_once: bool = False) -> SigningKey:
        """Make a key that signs in an hour, in place of the one that signs until then.

        With ``at_once`` all others are revoked, and it signs now; so it does if no other one could.
        Raises `RotationUnderWay` if a key waits to sign already.
        """
        async with self._database.transaction() as connection:
            moment = await storage.lock_signing_keys(connection)
            revoked = 0
            if at_once:
                revoked = await revoke_signing_keys(connection)
            elif await storage.find_next(connection, moment) is not None:
                raise RotationUnderWay
            signs = await storage.does_a_key_sign(connection, moment)
            await storage.revoke_next(connection, moment)
            key = await add_signing_key(
                connection, self._keyring, moment + PUBLISHED_BEFORE if signs else moment
            )
        key_id, signs_from = str(key.id), key.signs_from.isoformat()
        event = Event.SIGNING_KEY_ROTATED
        record(event, OPERATOR, key_id=key_id, signs_from=signs_from, revoked=revoked)
        return key

    async def list_all(self) -> list[ListedKey]:
        """Return the keys in the order in which they sign; former ones for another day."""
        async with self._database.connect() as connection:
            now = await storage.clock(connection)
            return [
                ListedKey(key=each, state=state_of(each, now))
                for each in await storage.list_signing_keys(connection)
            ]


def state_of(key: SigningKey, now: datetime) -> KeyState:
    """Return the state of a key at a moment."""
    if key.revoked_at is not None:
        return KeyState.REVOKED
    if key.signs_from > now:
        return KeyState.NEXT
    if key.signs_until is None or key.signs_until > now:
        return KeyState.SIGNING
    is_published = key.signs_until + PUBLISHED_AFTER > now
    return KeyState.PUBLISHED if is_published else KeyState.RETIRED


async def revoke_signing_keys(connection: AsyncConnection) -> int:
    """Revoke all keys, which are locked, and delete their secrets. Returns how many."""
    revoked = await storage.revoke_all(connection)
    await storage.delete_unused_secrets(connection)
    return revoked


async def delete_old_signing_keys(database: Database) -> None:
    """Delete the secrets of keys that sign no more, and keys that nobody needs any more.

    Raises `DatabaseUnavailable`.
    """
    async with database.transaction() as connection:
        await storage.lock_signing_keys(connection)
        await storage.delete_unused_secrets(connection)
        await storage.delete_old_signing_keys(connection, LISTED_AFTER)
