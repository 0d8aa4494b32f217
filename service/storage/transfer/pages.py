"""Reading whole users, a page at a time, in one snapshot of the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias
from uuid import UUID

import asyncpg
from msgspec import Struct

from service.settings.database import DatabaseOptions
from service.storage.connection import PlainConnection, connect
from service.storage.errors import translating_errors

PAGE_LENGTH = 1_000

MAX_ID = 2**128 - 1

PartsOfUsers: TypeAlias = dict[UUID, list[asyncpg.Record]]


class Page(Struct, frozen=True, kw_only=True):
    """Users in the order of their ids, and what they have, oldest first, by the ids."""

    users: list[asyncpg.Record]
    keys: PartsOfUsers
    identities: PartsOfUsers
    totp: PartsOfUsers
    passkeys: PartsOfUsers
    recovery_codes: PartsOfUsers


class Snapshot:
    """The users of a database as they were at one moment."""

    def __init__(self, connection: PlainConnection) -> None:
        self._connection = connection

    async def count(self) -> int:
        """Return how many users there are."""
        with translating_errors():
            return int(await self._connection.fetchval('SELECT count(*) FROM "user"'))

    _USERS = """
        SELECT id, created_at, roles, CAST(metadata AS text) AS metadata, disabled_at,
               disabled_reason, version, security_version, security_changed_at, passkey_handle
        FROM "user" WHERE id >= $1 ORDER BY id LIMIT $2
        """
    _KEYS = """
        SELECT user_id, provider, display_name, password_hash, verified_at, created_at
        FROM key WHERE user_id = ANY ($1::uuid[]) ORDER BY created_at, provider, name
        """
    _IDENTITIES = """
        SELECT user_id, issuer, subject, created_at, last_used_at
        FROM identity WHERE user_id = ANY ($1::uuid[]) ORDER BY created_at, issuer, subject
        """
    _TOTP = """
        SELECT totp.user_id, secret_id, purpose, key_id, ciphertext, last_step, totp.created_at,
               confirmed_at, last_used_at
        FROM totp LEFT JOIN sealed_secret ON sealed_secret.id = secret_id
        WHERE totp.user_id = ANY ($1::uuid[]) AND confirmed_at IS NOT NULL
        """
    _PASSKEYS = """
        SELECT user_id, id, credential_id, public_key, sign_count, rp_id,
               CAST(transports AS text) AS transports, name, aaguid, is_backup_eligible,
               is_backed_up, created_at, last_used_at
        FROM passkey WHERE user_id = ANY ($1::uuid[]) ORDER BY created_at, id
        """
    _RECOVERY_CODES = """
        SELECT user_id, hash, created_at
        FROM recovery_code WHERE user_id = ANY ($1::uuid[]) ORDER BY created_at, hash
        """

    async def pages(self) -> AsyncIterator[Page]:
        """Iterate over all users, a page at a time."""
        first = UUID(int=0)
        while True:
            with translating_errors():
                users = await self._connection.fetch(self._USERS, first, PAGE_LENGTH)
                ids = [user["id"] for user in users]
                page = Page(
                    users=users,
                    keys=await self._parts(self._KEYS, ids),
                    identities=await self._parts(self._IDENTITIES, ids),
                    totp=await self._parts(self._TOTP, ids),
                    passkeys=await self._parts(self._PASSKEYS, ids),
                    recovery_codes=await self._parts(self._RECOVERY_CODES, ids),
                )
            if users:
                yield page
            if len(users) < PAGE_LENGTH or ids[-1].int == MAX_ID:
                return
            first = UUID(int=ids[-1].int + 1)

    async def _parts(self, statement: str, user_ids: list[UUID]) -> PartsOfUsers:
        parts: PartsOfUsers = defaultdict(list)
        for row in await self._connection.fetch(statement, user_ids):
            parts[row["user_id"]].append(row)
        return parts


@asynccontextmanager
async def snapshot(url: str, options: DatabaseOptions) -> AsyncIterator[Snapshot]:
    """Open a snapshot of the database at ``url``. Raises `DatabaseUnavailable`."""
    connection = await connect(url, options)
    try:
        with translating_errors():
            transaction = connection.transaction(isolation="repeatable_read", readonly=True)
            await transaction.start()
        yield Snapshot(connection)
    finally:
        with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.close()
