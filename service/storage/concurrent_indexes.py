"""Indexes that are built while the service works: without a lock that keeps writes out.

Such a statement runs in no transaction, so nothing of it is rolled back: one that was interrupted
leaves an invalid index, which is not read but kept up to date. It is dropped, and built anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import asyncpg
from msgspec.structs import replace

from service.settings.database import DatabaseOptions
from service.settings.values import Duration
from service.storage.connection import Connection, connect
from service.storage.errors import DatabaseUnavailable, translating_errors

LOCK_NOT_AVAILABLE = "55P03"

# How long one statement may take: with hundreds of millions of rows, hours.
BUILD_TIMEOUT = Duration.parse("6h")

IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)"


async def build_indexes(
    url: str, options: DatabaseOptions, indexes: Mapping[str, str], *, wait: float
) -> None:
    """Build the indexes that are missing or invalid, by name; the values are table and columns.

    The caller holds the lock of migrations, in a transaction without a snapshot: building waits for
    those that have one, for ``wait`` seconds each. Raises `DatabaseUnavailable`.
    """
    connection = await connect(url, replace(options, statement_timeout=BUILD_TIMEOUT))
    try:
        with translating_errors():
            if not options.pgbouncer:
                await connection.execute(f"SET lock_timeout = {wait * 1000:.0f}")
            for name, columns in indexes.items():
                await _build(connection, name, columns)
    except DatabaseUnavailable as error:
        if error.sqlstate != LOCK_NOT_AVAILABLE:
            raise
        raise DatabaseUnavailable(
            "a transaction that began earlier keeps an index from being built. Let it end (see "
            "pg_stat_activity), and migrate again"
        ) from error
    finally:
        with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.close()


async def _build(connection: Connection, name: str, columns: str) -> None:
    """Build an index, each statement in one message: PgBouncer may separate several."""
    async with connection.transaction():
        is_valid = await connection.fetchval(IS_VALID, name)
    if is_valid is False:
        await connection.execute(f"DROP INDEX CONCURRENTLY {name}")
    if is_valid is not True:
        await connection.execute(f"CREATE INDEX CONCURRENTLY {name} ON {columns}")
