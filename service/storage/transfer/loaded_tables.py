"""The temporary tables into which whole users are copied, before they are loaded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
from msgspec import Struct

from service.storage.transfer.rows import LoadedUser

# Those that are columns of `loaded_user`; what follows has tables of its own.
USER_FIELDS = LoadedUser.__struct_fields__[:10]

TABLES = """
CREATE TEMPORARY TABLE IF NOT EXISTS loaded_user (
    number int, id uuid, created_at timestamptz, roles text[], metadata jsonb,
    disabled_at timestamptz, disabled_reason text, version bigint, security_version bigint,
    security_changed_at timestamptz, passkey_handle bytea);
CREATE TEMPORARY TABLE IF NOT EXISTS loaded_key (
    number int, id uuid, provider text, name text, user_id uuid, display_name text,
    password_hash text, password_scheme text, verified_at timestamptz, created_at timestamptz);
CREATE TEMPORARY TABLE IF NOT EXISTS loaded_identity (
    number int, user_id uuid, key_id uuid, issuer text, subject text, created_at timestamptz,
    last_used_at timestamptz);
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
TRUNCATE loaded_user, loaded_key, loaded_identity, loaded_totp, loaded_passkey,
    loaded_recovery_code, added_user;
"""


async def copy_users(
    connection: asyncpg.Connection[asyncpg.Record], users: Sequence[tuple[int, LoadedUser]]
) -> None:
    """Replace what is in the temporary tables with users, and their positions in a batch."""
    await connection.execute(TABLES)
    for table, records in _records(users).items():
        await connection.copy_records_to_table(table, records=records)


def _records(users: Iterable[tuple[int, LoadedUser]]) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of the temporary tables; their columns are the fields, in this order."""
    tables: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for number, user in users:
        own = [getattr(user, name) for name in USER_FIELDS]
        tables["loaded_user"].append((number, *own))
        tables["loaded_key"] += [(number, *_fields(each)) for each in user.keys]
        tables["loaded_identity"] += [(number, user.id, *_fields(each)) for each in user.identities]
        if user.totp is not None:
            tables["loaded_totp"].append((number, user.id, *_fields(user.totp)))
        tables["loaded_passkey"] += [(number, user.id, *_fields(each)) for each in user.passkeys]
        tables["loaded_recovery_code"] += [
            (number, user.id, *_fields(each)) for each in user.recovery_codes
        ]
    return tables


def _fields(part: Struct) -> tuple[Any, ...]:
    return tuple(getattr(part, name) for name in part.__struct_fields__)
