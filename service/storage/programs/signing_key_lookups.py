"""The statement on signing keys of every request for an access token."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text

from service.model.sealed_secrets import Sealed, SealedSecret
from service.model.signing_keys import Signer, Signing
from service.storage.direct import AnyConnection, DirectStatement

# The session is looked for once more: it may have ended since its request was let in. No token is
# issued at a time at which it did not live.
FIND_SIGNING = DirectStatement(
    text(
        """
        SELECT now() AS now, live.is_live,
            signer.id, signer.secret_id, signer.purpose, signer.key_id, signer.ciphertext
        FROM (
            SELECT EXISTS (
                SELECT FROM session JOIN "user" ON "user".id = session.user_id
                WHERE session.id = CAST(:session_id AS uuid)
                  AND session.idle_expires_at > now() AND "user".disabled_at IS NULL
            ) AS is_live
        ) AS live
        LEFT JOIN (
            SELECT signing_key.id, signing_key.secret_id,
                sealed_secret.purpose, sealed_secret.key_id, sealed_secret.ciphertext
            FROM signing_key JOIN sealed_secret ON sealed_secret.id = signing_key.secret_id
            WHERE signing_key.revoked_at IS NULL AND signing_key.signs_from <= now()
              AND (signing_key.signs_until IS NULL OR signing_key.signs_until > now())
            ORDER BY signing_key.signs_from DESC, signing_key.id
            LIMIT 1
        ) AS signer ON true
        """
    )
)


async def find_signing(connection: AnyConnection, session_id: UUID) -> Signing:
    """Return the time, whether a session lives, and which key signs."""
    row = await FIND_SIGNING.one(connection, {"session_id": session_id})
    return Signing(
        now=row.now, is_live=row.is_live, signer=None if row.id is None else _signer(row)
    )


def _signer(row: Any) -> Signer:
    sealed = Sealed(key_id=row.key_id, ciphertext=row.ciphertext)
    secret = SealedSecret(id=row.secret_id, purpose=row.purpose, sealed=sealed)
    return Signer(key_id=row.id, secret=secret)
