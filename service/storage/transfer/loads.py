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

# What keeps users out, whatever else is in their batch.
FIND_REFUSED = """
WITH missing AS (
    SELECT number, id FROM loaded_user
    WHERE NOT EXISTS (SELECT FROM "user" WHERE "user".id = loaded_user.id)
)
SELECT number, 'was deleted since it was imported' AS reason
FROM missing JOIN imported ON kind = 'user' AND imported.id = missing.id
UNION ALL
SELECT number, concat('another user has its ',
                      CASE provider WHEN 'email' THEN 'address' ELSE 'name' END,
                      ', as ', key.display_name)
FROM missing JOIN loaded_key USING (number) JOIN key USING (provider, name)
UNION ALL
SELECT number, 'another user has its passkey'
FROM missing JOIN loaded_passkey USING (number) JOIN passkey
  ON passkey.credential_id = loaded_passkey.credential_id OR passkey.id = loaded_passkey.id
ORDER BY number
"""

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
ON CONFLICT DO NOTHING
"""


class LoadedUsers(Struct, frozen=True):
    """How many users of a batch are new, and the positions of those rejected, with the reasons."""

    new: int
    rejected: dict[int, str]


async def load_users(
    connection: asyncpg.Connection[asyncpg.Record], users: Sequence[tuple[int, LoadedUser]]
) -> LoadedUsers:
    """Load users, with their positions in a batch, in one transaction.

    Of several who want one name, the first has it; unless that one is kept out by another name of
    theirs: then the others are tried again.
    """
    new, refused, left = 0, dict[int, str](), list(users)
    with translating_errors():
        async with connection.transaction():
            while left:
                await _copy(connection, left)
                for number, reason in await connection.fetch(FIND_REFUSED):
                    refused.setdefault(number, reason)
                added, incomplete = await _add(connection, [*refused])
                new += added
                left = [each for each in left if each[0] in incomplete]
            await _refuse_the_missing(connection, users, refused)
    return LoadedUsers(new, refused)


async def _copy(
    connection: asyncpg.Connection[asyncpg.Record], users: Sequence[tuple[int, LoadedUser]]
) -> None:
    await connection.execute(TABLES)
    for table, records in _records(users).items():
        await connection.copy_records_to_table(table, records=records)


async def _add(
    connection: asyncpg.Connection[asyncpg.Record], refused: list[int]
) -> tuple[int, set[int]]:
    """Add what was copied but for those refused. Returns how many were, and who is incomplete."""
    status = await connection.execute(ADD_USERS, refused)
    await connection.execute(ADD_PARTS)
    incomplete = {row["number"] for row in await connection.fetch(FIND_INCOMPLETE)}
    removed = await connection.execute(REMOVE_INCOMPLETE, [*incomplete])
    await connection.execute(REMEMBER)
    return _rows_of(status) - _rows_of(removed), incomplete


FIND_EXISTING = 'SELECT id FROM "user" WHERE id = ANY ($1::uuid[])'


async def _refuse_the_missing(
    connection: asyncpg.Connection[asyncpg.Record],
    users: Sequence[tuple[int, LoadedUser]],
    refused: dict[int, str],
) -> None:
    """Add to ``refused`` who is neither there nor refused: a second row of a user who was."""
    found = await connection.fetch(FIND_EXISTING, [user.id for _, user in users])
    existing = {row["id"] for row in found}
    for number, user in users:
        if user.id not in existing:
            refused.setdefault(number, "an earlier row with its id was rejected")


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
