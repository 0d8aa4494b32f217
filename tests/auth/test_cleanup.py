from __future__ import annotations

import asyncio
from pathlib import Path

from service.auth.cleanup import (
    PAGES_PER_BATCH,
    clean_up,
    delete_expired_devices,
    delete_expired_rate_limits,
    delete_expired_sessions,
)
from service.storage.cleanup import CLEANUP_LOCK
from service.storage.database import Database
from tests.cli.running import run as command
from tests.databases import execute, fetch_value, held, wait_until
from tests.invitations import EXPIRE, invite
from tests.services import running

INSERT_SESSIONS = """
WITH u AS (INSERT INTO "user" (id) VALUES (gen_random_uuid()) RETURNING id)
INSERT INTO session (id, secret_hash, user_id, active_expires_at, idle_expires_at,
                     absolute_expires_at)
SELECT gen_random_uuid(), '', id, now(), now() + (n % $2 - 1) * interval '1 hour', now()
FROM u, generate_series(1, $1) AS n
"""
COUNT = "SELECT count(*) FROM session"
COUNT_DEAD = "SELECT count(*) FROM session WHERE idle_expires_at <= now()"


INSERT_RATE_LIMITS = """
INSERT INTO rate_limit SELECT sha256(int4send(n)), now() + (n % 2 - 0.5) * interval '1 hour'
FROM generate_series(1, $1) AS n
ON CONFLICT (bucket) DO NOTHING
"""
COUNT_RATE_LIMITS = "SELECT count(*) FROM rate_limit"
COUNT_RESTORED = "SELECT count(*) FROM rate_limit WHERE tat <= now()"


async def run(work: object, *arguments: object) -> object:
    return await asyncio.to_thread(work, *arguments)  # type: ignore[arg-type]


async def test_cleanup_deletes_expired_sessions_only(database_url: str, database: Database) -> None:
    await run(execute, database_url, INSERT_SESSIONS, 300, 3)
    dead = await run(fetch_value, database_url, COUNT_DEAD)
    assert dead == 200
    assert await delete_expired_sessions(database) == dead
    assert await run(fetch_value, database_url, COUNT) == 100
    assert await delete_expired_sessions(database) == 0


async def test_cleanup_covers_a_table_of_many_batches(
    database_url: str, database: Database
) -> None:
    await run(execute, database_url, INSERT_SESSIONS, 40_000, 2)
    pages = await run(fetch_value, database_url, "SELECT pg_relation_size('session') / 8192")
    assert isinstance(pages, int)
    assert pages > 2 * PAGES_PER_BATCH
    assert await delete_expired_sessions(database) == 40_000


async def test_one_process_cleans_up_at_a_time(database_url: str, database: Database) -> None:
    await run(execute, database_url, INSERT_SESSIONS, 10, 1)
    with held(database_url, f"SELECT pg_advisory_xact_lock({CLEANUP_LOCK})"):
        assert await delete_expired_sessions(database) == 0
    assert await delete_expired_sessions(database) == 10


async def test_cleanup_skips_locked_rows(database_url: str, database: Database) -> None:
    await run(execute, database_url, INSERT_SESSIONS, 10, 1)
    one = "SELECT id FROM session ORDER BY id LIMIT 1 FOR UPDATE"
    with held(database_url, one):
        assert await delete_expired_sessions(database) == 9


INSERT_DEVICES = """
WITH u AS (INSERT INTO "user" (id) VALUES (gen_random_uuid()) RETURNING id)
INSERT INTO device (hash, user_id, last_seen)
SELECT sha256(int4send(n)), id, now() - n * interval '1 hour' FROM u, generate_series(1, 10) AS n
"""
COUNT_DEVICES = "SELECT count(*) FROM device"
IS_CLEAN = f"({COUNT_DEAD}) + ({COUNT_DEVICES}) + ({COUNT_RESTORED}) = 0"


async def test_cleanup_deletes_devices_without_a_log_in_for_their_lifetime(
    database_url: str, database: Database
) -> None:
    await run(execute, database_url, INSERT_DEVICES)
    assert await delete_expired_devices(database, 7.5 * 3600) == 3
    oldest = "SELECT max(now() - last_seen) < interval '7.5 hours' FROM device"
    assert await run(fetch_value, database_url, oldest)


async def test_cleanup_deletes_restored_rate_limits(database_url: str, database: Database) -> None:
    await run(execute, database_url, INSERT_RATE_LIMITS, 30_000)
    await delete_expired_rate_limits(database)
    assert await run(fetch_value, database_url, COUNT_RATE_LIMITS) == 15_000
    assert await run(fetch_value, database_url, COUNT_RESTORED) == 0


async def test_cleanup_skips_rate_limits_that_are_in_use(
    database_url: str, database: Database
) -> None:
    await run(execute, database_url, INSERT_RATE_LIMITS, 10)
    with held(database_url, f"{COUNT_RESTORED.replace('count(*)', '*')} LIMIT 1 FOR UPDATE"):
        await delete_expired_rate_limits(database)
        assert await run(fetch_value, database_url, COUNT_RESTORED) == 1


async def test_cleanup_deletes_expired_invitations(database_url: str, database: Database) -> None:
    await run(invite, database_url)
    await run(execute, database_url, EXPIRE)
    await run(invite, database_url)
    await clean_up(database, 1, 1, 1)
    assert await run(fetch_value, database_url, "SELECT count(*) FROM invitation") == 1


def insert_expired_rows(database_url: str) -> None:
    execute(database_url, INSERT_SESSIONS, 30, 3)
    execute(database_url, INSERT_DEVICES)
    execute(database_url, "UPDATE device SET last_seen = now() - interval '10 years'")
    execute(database_url, INSERT_RATE_LIMITS, 30)


def test_the_command_deletes_what_the_service_does(database_url: str) -> None:
    invite(database_url)
    execute(database_url, EXPIRE)
    insert_expired_rows(database_url)
    assert command("cleanup", DATABASE_URL=database_url).returncode == 0
    assert fetch_value(database_url, f"SELECT {IS_CLEAN}")
    assert fetch_value(database_url, "SELECT count(*) FROM invitation") == 0
    assert fetch_value(database_url, COUNT) == 10


def test_the_service_cleans_up_at_start_and_periodically(database_url: str, tmp_path: Path) -> None:
    insert_expired_rows(database_url)
    with running(database_url, tmp_path / "service.log", {"OSTIARY_CLEANUP_INTERVAL": "1s"}):
        wait_until(database_url, IS_CLEAN)
        insert_expired_rows(database_url)
        wait_until(database_url, IS_CLEAN)
    assert fetch_value(database_url, COUNT) == 20
    assert fetch_value(database_url, COUNT_RATE_LIMITS) == 15
