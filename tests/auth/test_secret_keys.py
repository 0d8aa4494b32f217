"""The keyring, and the secrets that it seals."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from service.auth.errors import KeyInUse, SecretKeyMissing, SecretUnreadable
from service.auth.sealed_secrets import RESEALED_PER_BATCH, SealedSecrets
from service.auth.secret_keys import KeyPurpose, Keyring
from service.model.sealed_secrets import SealedSecret
from service.settings.secret_keys import SecretKey, SecretKeys
from service.storage import sealed_secrets as storage
from service.storage.database import Database

OLD, NEW = SecretKey("old", bytes(range(32))), SecretKey("new", bytes(range(1, 33)))
PURPOSE = KeyPurpose.TOTP_SECRET


def keyring(*keys: SecretKey) -> Keyring:
    return Keyring(SecretKeys(keys))


async def add(database: Database, ring: Keyring, secret: bytes = b"secret") -> UUID:
    """Insert a sealed secret."""
    row = uuid4()
    sealed = SealedSecret(id=row, purpose=PURPOSE, sealed=ring.seal(PURPOSE, row, secret))
    async with database.connect() as connection:
        await storage.add_sealed_secret(connection, sealed)
    return row


async def opened(database: Database, ring: Keyring, row: UUID) -> bytes:
    async with database.connect() as connection:
        found = await storage.find_sealed_secret(connection, row)
    assert found is not None
    return ring.open(PURPOSE, row, found.sealed)


@given(st.binary())
def test_what_is_sealed_for_a_row_is_opened_for_it(secret: bytes) -> None:
    row = uuid4()
    sealed = keyring(NEW).seal(PURPOSE, row, secret)
    assert keyring(NEW).open(PURPOSE, row, sealed) == secret
    assert not secret or len(secret) < 4 or secret not in sealed.ciphertext


def test_a_secret_is_never_sealed_twice_to_the_same_text() -> None:
    row = uuid4()
    assert len({keyring(NEW).seal(PURPOSE, row, b"x").ciphertext for _ in range(100)}) == 100


@pytest.mark.parametrize("changed", [0, 11, 12, -1])
def test_a_sealed_secret_that_was_changed_is_an_error(changed: int) -> None:
    row = uuid4()
    sealed = keyring(NEW).seal(PURPOSE, row, b"secret")
    ciphertext = bytearray(sealed.ciphertext)
    ciphertext[changed] ^= 1
    with pytest.raises(SecretUnreadable):
        keyring(NEW).open(PURPOSE, row, replace(sealed, ciphertext=bytes(ciphertext)))
    with pytest.raises(SecretUnreadable):
        keyring(NEW).open(PURPOSE, row, replace(sealed, ciphertext=b""))


def test_a_sealed_secret_opens_for_no_other_row_or_purpose_and_with_no_other_key() -> None:
    row = uuid4()
    sealed = keyring(NEW).seal(PURPOSE, row, b"secret")
    with pytest.raises(SecretUnreadable):
        keyring(NEW).open(PURPOSE, uuid4(), sealed)
    with pytest.raises(SecretUnreadable):
        keyring(NEW).open(KeyPurpose.SIGNING_KEY, row, sealed)
    with pytest.raises(SecretUnreadable):
        keyring(SecretKey("new", OLD.secret)).open(PURPOSE, row, sealed)


def test_a_secret_without_its_key_is_an_error_that_names_the_key() -> None:
    row = uuid4()
    sealed = keyring(OLD).seal(PURPOSE, row, b"secret")
    with pytest.raises(SecretKeyMissing, match="lacks the key old"):
        keyring(NEW).open(PURPOSE, row, sealed)


def test_each_purpose_and_each_key_has_a_key_of_its_own() -> None:
    ring = keyring(NEW, OLD)
    derived = {ring.derive(purpose, key_id) for purpose in KeyPurpose for key_id in ring.ids}
    assert len(derived) == 2 * len(KeyPurpose)
    assert not derived & {OLD.secret, NEW.secret}


def test_derived_keys_are_the_same_in_every_version() -> None:
    """What was sealed and mailed before an update is opened and accepted after it."""
    derived = keyring(OLD).derive(KeyPurpose.CODE, "old").hex()
    assert derived == "550403a5653a3fd7ff5c6ce875d0d1b79db3f5f9e24109c02c1350a694060cf5"


async def test_rotation_old_key_opens_new_one_seals_and_then_the_old_one_goes(
    database: Database,
) -> None:
    row = await add(database, keyring(OLD))
    both = keyring(NEW, OLD)
    assert await opened(database, both, row) == b"secret"
    newer = await add(database, both)
    assert await opened(database, keyring(NEW), newer) == b"secret"
    assert await SealedSecrets(database, both).reseal() == 1
    assert await opened(database, keyring(NEW), row) == b"secret"
    await SealedSecrets(database, keyring(NEW)).require_keys()
    assert await SealedSecrets(database, both).reseal() == 0


async def test_two_processes_that_reseal_together_seal_each_secret_once(
    database: Database,
) -> None:
    rows = [await add(database, keyring(OLD), str(n).encode()) for n in range(250)]
    assert len(rows) > 2 * RESEALED_PER_BATCH
    both = SealedSecrets(database, keyring(NEW, OLD))
    assert sum(await asyncio.gather(both.reseal(), both.reseal())) == 250
    for n, row in enumerate(rows):
        assert await opened(database, keyring(NEW), row) == str(n).encode()


async def test_resealing_leaves_what_it_cannot_open(database: Database) -> None:
    await add(database, keyring(SecretKey("lost", bytes(32))))
    row = await add(database, keyring(OLD))
    both = SealedSecrets(database, keyring(NEW, OLD))
    assert await both.reseal() == 1
    assert await opened(database, keyring(NEW), row) == b"secret"
    with pytest.raises(SecretKeyMissing, match="lost, which has sealed 1 secrets"):
        await both.require_keys()


async def test_only_what_a_missing_key_has_sealed_is_forgotten(database: Database) -> None:
    await add(database, keyring(OLD))
    row = await add(database, keyring(NEW))
    with pytest.raises(KeyInUse):
        await SealedSecrets(database, keyring(NEW, OLD)).forget("old")
    assert await SealedSecrets(database, keyring(NEW)).forget("old") == 1
    assert await opened(database, keyring(NEW), row) == b"secret"


def test_no_representation_shows_a_key() -> None:
    keys = SecretKeys((NEW, OLD))
    shown = repr(keys) + str(keys) + repr(Keyring(keys)) + repr(NEW) + str(NEW)
    assert NEW.write().partition(":")[2] not in shown
    assert repr(NEW.secret) not in shown
    assert "new" in shown
