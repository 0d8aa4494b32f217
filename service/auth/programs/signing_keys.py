"""Signing keys: made, published, and opened to sign.

Which key signs is decided by the rows and the clock of the database, so that all processes agree.
A key is published an hour before it signs, and until the last token that it signed has expired: a
verifier that knows the keys of some minutes ago knows that of every token.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import structlog
from joserfc.jwk import ECKey
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.errors import (
    SecretKeyMissing,
    SecretUnreadable,
    SigningUnavailable,
)
from service.auth.secret_keys import KeyPurpose, Keyring
from service.model.sealed_secrets import SealedSecret
from service.model.signing_keys import Signer, Signing, SigningKey
from service.storage import sealed_secrets as secret_storage
from service.storage.database import Database
from service.storage.programs import signing_keys as storage
from service.storage.programs.signing_key_lookups import find_signing

log: structlog.stdlib.BoundLogger = structlog.get_logger()

ALGORITHM = "ES256"
CURVE = "P-256"

# How long a token is valid, and how far the clock of a verifier may be behind.
TOKEN_LIFETIME = timedelta(seconds=60)
MAX_SKEW = timedelta(minutes=5)

# How long a key is published before it signs, and after it has signed for the last time. Verifiers
# may keep the keys for five minutes; some keep them longer.
PUBLISHED_BEFORE = timedelta(hours=1)
PUBLISHED_AFTER = TOKEN_LIFETIME + MAX_SKEW


class SigningKeys:
    """The signing keys in ``database``, whose private parts ``keyring`` seals."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring
        # The one that was opened last, by its id: which one signs, the database says each time.
        self._opened: tuple[UUID, ECKey] | None = None

    async def published(self) -> list[SigningKey]:
        """Return the keys that verify tokens, or will; the first one is made now."""
        published = await self._database.with_retry(storage.find_published, PUBLISHED_AFTER)
        if published:
            return published
        await self._make_if_none_signs()
        async with self._database.connect() as connection:
            return await storage.find_published(connection, PUBLISHED_AFTER)

    async def signing(self, session_id: UUID) -> Signing:
        """Return the time, whether a session lives, and the key that signs.

        It is made if there is none: for the first token, or after its secret was forgotten.
        """
        signing = await self._find_signing(session_id)
        if signing.signer is None and signing.is_live:
            await self._make_if_none_signs()
            signing = await self._find_signing(session_id)
        return signing

    async def _find_signing(self, session_id: UUID) -> Signing:
        return await self._database.with_retry_direct(
            lambda connection: find_signing(connection, session_id)
        )

    def open(self, signer: Signer) -> ECKey:
        """Return the private part of the key that signs. Raises `SigningUnavailable`."""
        if self._opened is None or self._opened[0] != signer.key_id:
            self._opened = (signer.key_id, self._unseal(signer.secret))
        return self._opened[1]

    def _unseal(self, secret: SealedSecret) -> ECKey:
        try:
            der = self._keyring.open(KeyPurpose.SIGNING_KEY, secret.id, secret.sealed)
        except SecretKeyMissing as error:
            log.warning("secret_key_missing", key_id=error.key_id)
            raise SigningUnavailable from error
        except SecretUnreadable as error:
            log.warning("secret_unreadable", reason=str(error))
            raise SigningUnavailable from error
        return ECKey.import_key(der)

    async def _make_if_none_signs(self) -> None:
        """Make a key that signs at once, unless another process was first."""
        async with self._database.transaction() as connection:
            moment = await storage.lock_signing_keys(connection)
            if await storage.does_a_key_sign(connection, moment):
                return
            await storage.revoke_next(connection, moment)
            key = await add_signing_key(connection, self._keyring, moment)
        log.info("signing_key_made", key_id=str(key.id))


async def add_signing_key(
    connection: AsyncConnection, keyring: Keyring, signs_from: datetime
) -> SigningKey:
    """Add a key that signs from a time on; no other one does from then."""
    private, secret_id = ECKey.generate_key(CURVE), uuid4()
    purpose = KeyPurpose.SIGNING_KEY
    sealed = keyring.seal(purpose, secret_id, private.as_der(private=True))
    secret = SealedSecret(id=secret_id, purpose=purpose, sealed=sealed)
    await secret_storage.add_sealed_secret(connection, secret)
    await storage.retire(connection, signs_from)
    public = private.as_dict(private=False)
    return await storage.add_signing_key(connection, uuid4(), secret_id, public, signs_from)
