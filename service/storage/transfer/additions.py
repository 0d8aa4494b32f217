"""Adding the users of the temporary tables, by one INSERT for each table."""

from __future__ import annotations

import asyncpg

# Of several rows of one user the first counts.
ADD_USERS = """
WITH added AS (
    INSERT INTO "user" (id, created_at, roles, metadata, disabled_at, disabled_reason, version,
                        security_version, security_changed_at, passkey_handle)
    SELECT DISTINCT ON (id) id, coalesce(created_at, now()), roles, metadata, disabled_at,
           disabled_reason, version, security_version, security_changed_at, passkey_handle
    FROM loaded_user
    WHERE number <> ALL ($1::int[])
    ORDER BY id, number
    ON CONFLICT DO NOTHING
    RETURNING id
)
INSERT INTO added_user
SELECT min(number), id FROM loaded_user JOIN added USING (id)
WHERE number <> ALL ($1::int[]) GROUP BY id
"""

# What another user of the batch has already is left out, and found by `FIND_INCOMPLETE`; so is what
# somebody has taken since `FIND_REFUSED`.
ADD_PARTS = """
INSERT INTO key (provider, name, user_id, display_name, password_hash, password_scheme, verified_at,
                 created_at)
SELECT provider, name, user_id, display_name, password_hash, password_scheme, verified_at,
       coalesce(created_at, now())
FROM loaded_key JOIN added_user USING (number)
ORDER BY number
ON CONFLICT DO NOTHING;
INSERT INTO identity (id, user_id, issuer, subject, created_at, last_used_at)
SELECT gen_random_uuid(), user_id, issuer, subject, coalesce(created_at, now()), last_used_at
FROM loaded_identity JOIN added_user USING (number)
ORDER BY number
ON CONFLICT DO NOTHING;
INSERT INTO passkey (id, user_id, credential_id, public_key, sign_count, rp_id, transports, name,
                     aaguid, is_backup_eligible, is_backed_up, created_at, last_used_at)
SELECT loaded_passkey.id, user_id, credential_id, public_key, sign_count, rp_id, transports, name,
       aaguid, is_backup_eligible, is_backed_up, coalesce(created_at, now()), last_used_at
FROM loaded_passkey JOIN added_user USING (number)
ORDER BY number
ON CONFLICT DO NOTHING;
INSERT INTO sealed_secret (id, purpose, key_id, ciphertext, user_id)
SELECT secret_id, 'totp_secret', key_id, ciphertext, user_id
FROM loaded_totp JOIN added_user USING (number)
WHERE key_id IS NOT NULL;
INSERT INTO totp (user_id, secret_id, last_step, created_at, confirmed_at, last_used_at)
SELECT user_id, secret_id, last_step, coalesce(created_at, confirmed_at), confirmed_at, last_used_at
FROM loaded_totp JOIN added_user USING (number);
INSERT INTO recovery_code (user_id, hash, created_at)
SELECT user_id, hash, coalesce(created_at, now())
FROM loaded_recovery_code JOIN added_user USING (number);
"""

FIND_INCOMPLETE = """
SELECT number FROM loaded_key JOIN added_user USING (number)
WHERE NOT EXISTS (
    SELECT FROM key
    WHERE key.provider = loaded_key.provider AND key.name = loaded_key.name
      AND key.user_id = loaded_key.user_id)
UNION
SELECT number FROM loaded_identity JOIN added_user USING (number)
WHERE NOT EXISTS (
    SELECT FROM identity
    WHERE identity.issuer = loaded_identity.issuer AND identity.subject = loaded_identity.subject
      AND identity.user_id = loaded_identity.user_id)
UNION
SELECT number FROM loaded_passkey JOIN added_user USING (number)
WHERE NOT EXISTS (
    SELECT FROM passkey
    WHERE passkey.user_id = loaded_passkey.user_id AND passkey.id = loaded_passkey.id
      AND passkey.credential_id = loaded_passkey.credential_id)
"""

REMOVE_INCOMPLETE = """
DELETE FROM "user" WHERE id IN (SELECT id FROM added_user WHERE number = ANY ($1::int[]))
"""

REMEMBER = """
INSERT INTO imported (kind, id, user_id)
SELECT DISTINCT 'user', id, CAST(NULL AS uuid) FROM loaded_user JOIN "user" USING (id)
UNION ALL
SELECT 'key', loaded_key.id, user_id
FROM loaded_key JOIN added_user USING (number) JOIN "user" ON "user".id = user_id
UNION ALL
SELECT 'key', key_id, user_id
FROM loaded_identity JOIN added_user USING (number) JOIN "user" ON "user".id = user_id
WHERE key_id IS NOT NULL
ON CONFLICT DO NOTHING
"""


async def add_copied(
    connection: asyncpg.Connection[asyncpg.Record], refused: list[int]
) -> tuple[int, set[int]]:
    """Add what was copied but for those refused. Returns how many were, and who is incomplete."""
    status = await connection.execute(ADD_USERS, refused)
    await connection.execute(ADD_PARTS)
    incomplete = {row["number"] for row in await connection.fetch(FIND_INCOMPLETE)}
    removed = await connection.execute(REMOVE_INCOMPLETE, [*incomplete])
    await connection.execute(REMEMBER)
    return _rows_of(status) - _rows_of(removed), incomplete


def _rows_of(status: str) -> int:
    return int(status.rsplit(maxsplit=1)[-1])
