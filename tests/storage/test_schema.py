from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import uuid4

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from service.storage.errors import DatabaseUnavailable
from service.storage.schema import (
    MIGRATIONS,
    LockPatience,
    UnknownRevision,
    is_behind,
    migrate,
    revision_of,
    revisions,
)
from service.storage.session_lookups import FIND_ONE
from service.storage.tables import metadata
from tests.databases import TestServer, execute, fetch, locked, wait_for_lock_waiters
from tests.services import PATIENCE

NEWEST_REVISION = revisions()[-1]


@pytest.fixture
def empty_database(postgresql: TestServer) -> Iterator[str]:
    with postgresql.database(template="template0") as url:
        yield url


def tables_in(url: str) -> set[str]:
    rows = fetch(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row["tablename"] for row in rows}


def test_migrating_creates_the_tables(empty_database: str) -> None:
    move = asyncio.run(migrate(empty_database))
    assert (move.before, move.after) == (None, NEWEST_REVISION)
    assert tables_in(empty_database) == {
        *("user", "key", "session", "device", "rate_limit", "imported", "alembic_version"),
        *("username_hold", "sealed_secret", "challenge", "reset_request", "mail"),
        *("totp", "totp_failure", "recovery_code", "passkey", "identity"),
        "claimed_nonce",
        *("service_token", "invitation", "signing_key", "restore"),
    }


def test_migrating_again_changes_nothing(database_url: str) -> None:
    move = asyncio.run(migrate(database_url))
    assert move.before == move.after == NEWEST_REVISION


def test_every_migration_can_be_reverted_and_repeated(database_url: str) -> None:
    asyncio.run(migrate(database_url, "base"))
    assert tables_in(database_url) == {"alembic_version"}
    asyncio.run(migrate(database_url))
    assert asyncio.run(revision_of(database_url)) == NEWEST_REVISION


def test_migrations_match_the_tables(database_url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection,
            opts={"compare_type": True, "compare_server_default": True},
        )
        return list(compare_metadata(context, metadata))

    async def compare() -> list[object]:
        engine = create_async_engine(database_url.replace("postgresql:", "postgresql+asyncpg:"))
        async with engine.connect() as connection:
            found = await connection.run_sync(differences)
        await engine.dispose()
        return found

    assert asyncio.run(compare()) == []


def test_simultaneous_migrations_take_turns(empty_database: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        moves = list(pool.map(lambda _: asyncio.run(migrate(empty_database)), range(6)))
    assert [move.before for move in moves].count(None) == 1
    assert {move.after for move in moves} == {NEWEST_REVISION}


def test_a_failed_migration_leaves_the_schema_unchanged(empty_database: str) -> None:
    execute(empty_database, "CREATE TABLE session (in_the_way int)")
    with pytest.raises(Exception, match="already exists"):
        asyncio.run(migrate(empty_database))
    assert tables_in(empty_database) == {"session"}


@pytest.mark.parametrize("revision", ["9999", "", "head-1", "+1", "00"])
def test_an_unknown_revision_is_refused(database_url: str, revision: str) -> None:
    with pytest.raises(UnknownRevision):
        asyncio.run(migrate(database_url, revision))


def test_a_database_of_a_later_version_is_left_alone(database_url: str) -> None:
    execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    for revision in ("head", "base"):
        with pytest.raises(UnknownRevision):
            asyncio.run(migrate(database_url, revision))
    assert "session" in tables_in(database_url)


def test_a_migration_that_waits_for_a_lock_gives_way(database_url: str) -> None:
    """Requests for the table queue behind it."""
    patience = LockPatience(timeout=0.05, attempts=2, pause=0)
    with locked(database_url, "session"), pytest.raises(DatabaseUnavailable, match="holds a lock"):
        asyncio.run(migrate(database_url, "base", patience=patience))
    assert "session" in tables_in(database_url)


def test_a_migration_tries_again_until_the_lock_is_free(database_url: str) -> None:
    patience = LockPatience(timeout=0.05, attempts=100_000, pause=0)
    with ThreadPoolExecutor(1) as pool:
        with locked(database_url, "session"):
            move = pool.submit(asyncio.run, migrate(database_url, "base", patience=patience))
            wait_for_lock_waiters(database_url)
        assert move.result().after is None


async def test_a_migration_tries_again_after_a_deadlock(database_url: str) -> None:
    """It locks ``rate_limit``, then waits for ``session``; requests may do it the other way."""
    patience = LockPatience(timeout=PATIENCE, attempts=2, pause=0)
    other = await asyncpg.connect(database_url)
    # Unless this machine is very slow, PostgreSQL ends the migration.
    with suppress(asyncpg.DeadlockDetectedError):
        async with other.transaction():
            await other.execute("SET LOCAL deadlock_timeout = '5s'; LOCK TABLE session")
            moving = asyncio.create_task(migrate(database_url, "0005", patience=patience))
            await asyncio.to_thread(wait_for_lock_waiters, database_url)
            await other.execute("LOCK TABLE rate_limit")
    await other.close()
    assert (await moving).after == "0005"


def test_migration_files_are_named_after_their_revisions() -> None:
    scripts = ScriptDirectory(str(MIGRATIONS)).walk_revisions()
    assert [script.revision for script in scripts][::-1] == revisions()


def test_a_schema_is_behind_before_the_newest_revision_only() -> None:
    assert is_behind(None)
    assert not is_behind(NEWEST_REVISION)
    assert is_behind("0001")
    assert not is_behind("of a later version")


def test_a_renewal_touches_no_indexed_column(database_url: str) -> None:
    rows = fetch(
        database_url,
        """SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid
           AND attnum = ANY(indkey) WHERE indrelid = 'session'::regclass""",
    )
    indexed = {row["attname"] for row in rows}
    assert indexed.isdisjoint({"renewed_at", "active_expires_at", "idle_expires_at"})


def test_a_lookup_reads_the_names_from_an_index_and_the_user_and_the_address_from_rows(
    database_url: str,
) -> None:
    async def plan() -> str:
        connection = await asyncpg.connect(database_url)
        await connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        rows = await connection.fetch(f"EXPLAIN {FIND_ONE}", uuid4())
        await connection.close()
        return "\n".join(row[0] for row in rows)

    found = asyncio.run(plan())
    assert 'Index Scan using user_pkey on "user"' in found
    index = "key_user_id_provider_created_at_name_idx"
    assert f"Index Only Scan using {index} on key username_key" in found
    assert f"Index Scan using {index} on key email_key" in found
    assert "Sort" not in found


def test_deleting_a_user_deletes_keys_and_sessions(database_url: str) -> None:
    execute(
        database_url,
        """WITH u AS (INSERT INTO "user" VALUES (gen_random_uuid()) RETURNING id),
           k AS (INSERT INTO key SELECT 'username', 'a', id, 'A' FROM u)
           INSERT INTO session SELECT gen_random_uuid(), '', id, now(), now(), now(), now(), now()
           FROM u""",
    )
    execute(database_url, 'DELETE FROM "user"')
    assert fetch(database_url, "SELECT 1 FROM key") == []
    assert fetch(database_url, "SELECT 1 FROM session") == []


def test_a_new_database_has_no_users(empty_database: str) -> None:
    asyncio.run(migrate(empty_database))
    assert fetch(empty_database, 'SELECT FROM "user"') == []
    assert fetch(empty_database, "SELECT FROM key") == []
