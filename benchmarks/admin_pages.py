"""``make bench-admin``: how long a page of the admin API takes with ten million users.

Each user has a user name and an address. The indexes are built when the users are there, as a site
does that is upgraded. A page is read as the service reads it, without HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
from machine import machine
from servers import postgresql

from service.model.users import Provider
from service.settings.database import DatabaseOptions
from service.storage.admin.pages import (
    LIST_NEWEST,
    LIST_OLDER,
    NamePrefix,
    by_name,
    end_of,
    list_by_name,
    list_newest,
)
from service.storage.database import Database
from service.storage.direct import compiled
from service.storage.schema import migrate

USERS, BATCH, PAGE, REPEATS = 10_000_000, 250_000, 101, 20

# A second apart; their names are spread over the alphabet, as those of people are.
SEED = """
WITH made AS (
    INSERT INTO "user" (id, created_at, roles, metadata)
    SELECT lpad(to_hex(n), 32, '0')::uuid, timestamptz '2020-01-01' + n * interval '1 second',
           CASE WHEN n % 100 = 0 THEN '{editor}'::text[] ELSE '{}' END, '{"plan": "team"}'
    FROM generate_series($1::bigint, $2::bigint) AS n
    RETURNING id, created_at
), named AS (
    SELECT id, created_at,
           substr(md5(id::text), 1, 4) || '_' || substr(md5(id::text), 5, 12) AS name
    FROM made
)
INSERT INTO key (provider, name, user_id, display_name, verified_at, created_at)
SELECT 'username', name, id, name, NULL, created_at FROM named
UNION ALL
SELECT 'email', name || '@example.com', id, name || '@example.com', created_at, created_at
FROM named
"""

INDEXES = """
SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'key' AND indexname <> 'key_pkey'
"""

Row = tuple[str, float, str]


async def seed(url: str, users: int) -> None:
    connection = await asyncpg.connect(url)
    # Without indexes to keep in order, nor foreign keys to check for each row.
    await connection.execute("SET synchronous_commit = off; SET session_replication_role = replica")
    indexes = await connection.fetch(INDEXES)
    await connection.execute("ALTER TABLE key DROP CONSTRAINT key_pkey")
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['indexname']}")
    for first in range(1, users + 1, BATCH):
        last = min(first + BATCH - 1, users)
        await connection.execute(SEED, first, last, timeout=3600)
        print(f"{last:,} users", end="\r", flush=True)
    await connection.execute("SET maintenance_work_mem = '1GB'")
    await connection.execute("ALTER TABLE key ADD PRIMARY KEY (provider, name)", timeout=3600)
    for index in indexes:
        await connection.execute(index["indexdef"], timeout=3600)
    await connection.execute("VACUUM (ANALYZE)", timeout=3600)
    await connection.close()


async def measured(read: Callable[[], Awaitable[Any]]) -> float:
    """Return the median time of a page, in milliseconds."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        await read()
        times.append((time.perf_counter() - started) * 1000)
    return median(times)


async def plan_of(url: str, statement: Any, parameters: dict[str, Any]) -> str:
    """Return how PostgreSQL reads a page: by which index, how many rows and buffers."""
    sql, names = compiled(statement)
    connection = await asyncpg.connect(url)
    values = [parameters[name] for name in names]
    rows = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", *values)
    await connection.close()
    lines = [row[0].strip() for row in rows]
    indexes = ("user_created_at_id_idx", "key_provider_name_c_idx on key")
    used = next((line for line in lines if any(index in line for index in indexes)), "NO INDEX")
    scan = used.partition("  (cost")[0].removeprefix("->  ")
    buffers = next((line for line in lines if line.startswith("Buffers")), "")
    return f"{scan}; {buffers}"


async def by_time(url: str, database: Database, users: int) -> list[Row]:
    connection = await asyncpg.connect(url)
    rows: list[Row] = []
    for place, number in (("first", None), ("middle", users // 2), ("last", PAGE)):
        after = None
        if number is not None:
            found = await connection.fetchrow(
                """SELECT created_at, id FROM "user" WHERE created_at =
                   timestamptz '2020-01-01' + $1::bigint * interval '1 second'""",
                number,
            )
            after = None if found is None else (found["created_at"], found["id"])
        seconds = await measured(partial(database.with_retry, list_newest, PAGE, after))
        parameters: dict[str, Any] = {"max_rows": PAGE}
        if after is not None:
            parameters |= {"last_created_at": after[0], "last_id": after[1]}
        statement = LIST_NEWEST if after is None else LIST_OLDER
        rows.append((f"newest, {place} page", seconds, await plan_of(url, statement, parameters)))
    await connection.close()
    return rows


async def by_names(url: str, database: Database, provider: Provider) -> list[Row]:
    cases = [
        ("all, first page", "", None),
        ("all, middle page", "", "8"),
        ("all, last page", "", "ffff_fff"),
        ("prefix of 1/16, first page", "a", None),
        ("prefix of 1/16, last page", "a", "affff_ff"),
        ("prefix of 1/65536", "a1b2_", None),
        ("prefix of nobody", "nobody", None),
    ]
    rows: list[Row] = []
    for label, prefix, after in cases:
        sought = NamePrefix(provider=provider, prefix=prefix)
        seconds = await measured(partial(database.with_retry, list_by_name, sought, PAGE, after))
        statement = by_name(sought, is_continued=after is not None)
        parameters = {
            "max_rows": PAGE,
            "prefix": prefix,
            "prefix_end": end_of(prefix),
            "after": after,
        }
        plan = await plan_of(url, statement, parameters)
        rows.append((f"{provider.value}: {label}", seconds, plan))
    return rows


async def measure(url: str, users: int) -> list[Row]:
    database = Database(url, DatabaseOptions())
    try:
        return [
            *await by_time(url, database, users),
            *await by_names(url, database, Provider.USERNAME),
            *await by_names(url, database, Provider.EMAIL),
        ]
    finally:
        await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=USERS)
    users = parser.parse_args().users
    print(machine())
    options = {"shared_buffers": "1GB", "max_wal_size": "8GB"}
    with (
        tempfile.TemporaryDirectory(prefix="ostiary-bench-") as directory,
        postgresql(Path(directory) / "data", options) as server,
    ):
        url = server.url()
        asyncio.run(migrate(url, "0015"))
        started = time.perf_counter()
        asyncio.run(seed(url, users))
        print(f"{users:,} users were made in {time.perf_counter() - started:.0f} s")
        started = time.perf_counter()
        asyncio.run(migrate(url))
        print(f"The indexes were built in {time.perf_counter() - started:.0f} s")
        for label, milliseconds, plan in asyncio.run(measure(url, users)):
            print(f"| {label} | {milliseconds:.1f} ms | {plan} |")


if __name__ == "__main__":
    main()
