"""Loading whole users: COPY into temporary tables, then one INSERT for each table.

A user is loaded with everything or not at all. Users that exist stay as they are, and those that
were loaded before and deleted since stay deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
from msgspec import Struct

from service.storage.errors import translating_errors
from service.storage.transfer.rows import LoadedUser

TABLES = """
CREATE TEMPORARY TABLE IF NOT EXISTS loaded_user (
    number int, id uuid, created_at timestamptz, roles text[], metadata jsonb,
    disabled_at timestamptz, disabled_reason text, version bigint, security_version bigint,
    security_changed_at timestamptz, passkey_handle bytea);
CREATE TEMPORARY TABLE IF NOT EXISTS loaded_key (
    number int, id uuid, provider text, name text, user_id uuid, display_name text,
    password_hash text, password_scheme text, verified_at timestamptz, created_at timestamptz);
CREATE TEMPORARY TABLE IF NOT EXISTS loaded_totp (
    number int, user_id uuid, secret_id uuid, key_id text, ciphertext bytea, last_step bigint,
    created_at timestamptz, confirmed_at timestamptz, last_used_at timestamptz);
CREATE TEMPORARY TABLE IF NOT EXISTS loaded_passkey (
    number int, user_id uuid, id uuid, credential_id bytea, public_key bytea, sign_count bigint,
    rp_id text, transports jsonb, name text, aaguid uuid, is_backup_eligible boolean,
    is_backed_up boolean, created_at timestamptz, last_used_at timestamptz);
CREATE TEMPORARY TABLE IF NOT EXISTS loaded_recovery_code (
    number int, user_id uuid, hash bytea, created_at timestamptz);
CREATE TEMPORARY TABLE IF NOT EXISTS added_user (number int, id uuid);
TRUNCATE loaded_user, loaded_key, loaded_totp, loaded_passkey, loaded_recovery_code, added_user;
"""

# Of several rows of one user the first counts.
ADD_USERS = """
WITH added AS (
    INSERT INTO "user" (id, created_at, roles, metadata, disabled_at, disabled_reason, version,
                        security_version, security_changed_at, passkey_handle)
    SELECT DISTINCT ON (id) id, coalesce(created_at, now()), roles, metadata, disabled_at,
           disabled_reason, version, security_version, security_changed_at, passkey_handle
    FROM loaded_user
    WHERE NOT EXISTS (
        SELECT FROM imported WHERE kind = 'user' AND imported.id = loaded_user.id)
    ORDER BY id, number
    ON CONFLICT DO NOTHING
    RETURNING id
)
INSERT INTO added_user
SELECT min(number), id FROM loaded_user JOIN added USING (id) GROUP BY id
"""

# The names and passkeys that somebody has already are left out, and found by `NOT_ADDED`.
ADD_PARTS = """
INSERT INTO key (provider, name, user_id, display_name, password_hash, password_scheme, verified_at,
                 created_at)
SELECT provider, name, user_id, display_name, password_hash, password_scheme, verified_at,
       coalesce(created_at, now())
FROM loaded_key JOIN added_user USING (number)
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

NOT_ADDED = """
SELECT number, 'was deleted since it was imported' AS reason
FROM loaded_user LEFT JOIN "user" USING (id)
WHERE "user".id IS NULL
UNION ALL
SELECT number, concat('another user has its ',
                      CASE provider WHEN 'email' THEN 'address' ELSE 'name' END,
                      ', as ' || key.display_name)
FROM loaded_key JOIN added_user USING (number) LEFT JOIN key USING (provider, name)
WHERE key.user_id IS DISTINCT FROM loaded_key.user_id
UNION ALL
SELECT number, 'another user has its passkey'
FROM loaded_passkey JOIN added_user USING (number)
WHERE NOT EXISTS (
    SELECT FROM passkey
    WHERE passkey.user_id = loaded_passkey.user_id AND passkey.id = loaded_passkey.id
      AND passkey.credential_id = loaded_passkey.credential_id)
ORDER BY number
"""

REMOVE_REJECTED = """
DELETE FROM "user" WHERE id IN (SELECT id FROM added_user WHERE number = ANY ($1::int[]))
"""

REMEMBER = """
INSERT INTO imported (kind, id, user_id)
SELECT DISTINCT 'user', id, CAST(NULL AS uuid) FROM loaded_user JOIN "user" USING (id)
UNION ALL
SELECT 'key', loaded_key.id, user_id
FROM loaded_key JOIN added_user USING (number) JOIN "user" ON "user".id = user_id
ON CONFLICT DO NOTHING
"""


class LoadedUsers(Struct, frozen=True):
    """How many users of a batch are new, and the positions of those rejected, with the reasons."""

    new: int
    rejected: dict[int, str]


async def load_users(
    connection: asyncpg.Connection[asyncpg.Record], users: Sequence[tuple[int, LoadedUser]]
) -> LoadedUsers:
    """Load users, with their positions in a batch, in one transaction."""
    with translating_errors():
        async with connection.transaction():
            await connection.execute(TABLES)
            for table, records in _records(users).items():
                await connection.copy_records_to_table(table, records=records)
            status = await connection.execute(ADD_USERS)
            await connection.execute(ADD_PARTS)
            rejected: dict[int, str] = {}
            for number, reason in await connection.fetch(NOT_ADDED):
                rejected.setdefault(number, reason)
            removed = await connection.execute(REMOVE_REJECTED, list(rejected))
            await connection.execute(REMEMBER)
    return LoadedUsers(_rows_of(status) - _rows_of(removed), rejected)


def _rows_of(status: str) -> int:
    return int(status.rsplit(maxsplit=1)[-1])


def _records(users: Iterable[tuple[int, LoadedUser]]) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of the temporary tables; their columns are the fields, in this order."""
    tables: dict[str, list[tuple[Any, ...]]] = {
        name: []
        for name in (
            *("loaded_user", "loaded_key", "loaded_totp", "loaded_passkey"),
            "loaded_recovery_code",
        )
    }
    for number, user in users:
        own = [getattr(user, name) for name in USER_FIELDS]
        tables["loaded_user"].append((number, *own))
        tables["loaded_key"] += [(number, *_fields(each)) for each in user.keys]
        if user.totp is not None:
            tables["loaded_totp"].append((number, user.id, *_fields(user.totp)))
        tables["loaded_passkey"] += [(number, user.id, *_fields(each)) for each in user.passkeys]
        tables["loaded_recovery_code"] += [
            (number, user.id, *_fields(each)) for each in user.recovery_codes
        ]
    return tables


USER_FIELDS = LoadedUser.__struct_fields__[:10]


def _fields(part: Struct) -> tuple[Any, ...]:
    return tuple(getattr(part, name) for name in part.__struct_fields__)
