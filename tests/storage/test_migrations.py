"""Each migration can run while the version before it serves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from alembic import op
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from service.storage.errors import StatementRefused
from service.storage.schema import MIGRATIONS, connection_to, migrate, revisions
from tests.databases import TestServer, execute, fetch

# A row in each table that has many: what a migration reads or rewrites of them can be counted.
ROWS = """
WITH u AS (INSERT INTO "user" (id) VALUES (gen_random_uuid()) RETURNING id),
     k AS (INSERT INTO key (provider, name, user_id, display_name)
           SELECT 'username', 'a', id, 'A' FROM u)
INSERT INTO session (id, secret_hash, user_id, active_expires_at, idle_expires_at,
                     absolute_expires_at)
SELECT gen_random_uuid(), '', id, now(), now(), now() FROM u
"""

COLUMNS = text(
    """
    SELECT table_name, column_name, data_type,
           is_nullable = 'YES' OR column_default IS NOT NULL AS is_optional
    FROM information_schema.columns WHERE table_schema = 'public'
    """
)

# Tables that this transaction has locked against writes, with the rows that it read of them.
LOCKED_AND_READ = text(
    """
    SELECT DISTINCT relname FROM pg_locks
    JOIN pg_stat_xact_user_tables AS used ON used.relid = pg_locks.relation
    WHERE pid = pg_backend_pid() AND seq_tup_read > 0
      AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    """
)

FILES = text(
    "SELECT relname, pg_relation_filenode(oid) FROM pg_class "
    "WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace"
)


@pytest.fixture
def empty_database(postgresql: TestServer) -> Iterator[str]:
    with postgresql.database(template="template0") as url:
        yield url


def test_a_migration_can_run_while_the_version_before_it_serves(empty_database: str) -> None:
    asyncio.run(migrate(empty_database, revisions()[0]))
    execute(empty_database, ROWS)
    for after in revisions()[1:]:
        script = ScriptDirectory(str(MIGRATIONS)).get_revision(after)
        assert script is not None
        # Rolled back, and then done.
        asyncio.run(check(empty_database, script.module.upgrade))
        asyncio.run(migrate(empty_database, after))


async def check(url: str, upgrade: Callable[[], object]) -> None:
    async with connection_to(url) as connection:
        await connection.run_sync(assert_unnoticed, upgrade)
        await connection.rollback()


def assert_unnoticed(connection: Connection, upgrade: Callable[[], object]) -> None:
    columns = {row[:2]: row for row in connection.execute(COLUMNS)}
    tables = {table for table, _ in columns}
    files = files_of(connection)
    with Operations.context(MigrationContext.configure(connection)):
        upgrade()
    found = {row[:2]: row for row in connection.execute(COLUMNS)}
    assert {name: row[2] for name, row in columns.items()} == {
        name: found[name][2] for name in columns if name in found
    }, "a column that is in use was removed, renamed or has another type"
    new = [row for name, row in found.items() if name not in columns and name[0] in tables]
    assert all(row.is_optional for row in new), "statements in use do not know the new column"
    read = set(connection.execute(LOCKED_AND_READ).scalars())
    assert read & tables == set(), "a table is read while it is locked"
    now = files_of(connection)
    rewritten = {name for name in tables & files.keys() if files[name] != now[name]}
    assert rewritten == set(), "a table is rewritten"


def files_of(connection: Connection) -> dict[str, int]:
    """Return the number of the file of each table and index."""
    return {name: file for name, file in connection.execute(FILES)}  # noqa: C416


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE session DROP COLUMN user_agent",
        "ALTER TABLE session RENAME COLUMN user_agent TO agent",
        "ALTER TABLE session RENAME TO log_in",
        "ALTER TABLE session ALTER COLUMN user_agent TYPE varchar(512)",
        "ALTER TABLE session ADD COLUMN method text NOT NULL",
        "ALTER TABLE session ADD COLUMN method uuid NOT NULL DEFAULT gen_random_uuid()",
        "ALTER TABLE session ADD CHECK (user_agent <> '')",
        "CREATE INDEX ON session (address)",
    ],
)
def test_the_check_notices_what_the_version_before_would_notice(
    database_url: str, statement: str
) -> None:
    execute(database_url, ROWS)
    alone = statement.replace(" NOT NULL", "") if statement.endswith("NOT NULL") else None
    with pytest.raises((AssertionError, StatementRefused)):
        asyncio.run(check(database_url, lambda: op.execute(statement)))
    if alone is not None:
        asyncio.run(check(database_url, lambda: op.execute(alone)))


KEYS_OF_LUCIA = """
WITH u AS (INSERT INTO "user" (id) VALUES ('00000000-0000-0000-0000-000000000001') RETURNING id)
INSERT INTO key (provider, name, user_id, display_name, password_hash, password_scheme, created_at)
SELECT provider, name, id, name, password, password, '2020-01-01T00:00:00Z'
FROM u, (VALUES ('google', '42', NULL), ('google', '43', 'kept'),
                ('google', repeat('4', 256), NULL), ('google', 'b\u00fccher', NULL),
                ('github', '42', NULL), ('github', 'octocat', NULL), ('github', '042', NULL),
                ('apple', '001.a.1', NULL), ('gitlab', '42', NULL), ('azure_ad', '42', NULL),
                ('username', 'google', NULL)) AS made (provider, name, password)
"""

MOVED = {
    ("https://accounts.google.com", "42"),
    ("https://github.com", "42"),
    ("https://appleid.apple.com", "001.a.1"),
}


def keys_in(url: str) -> set[tuple[str, str]]:
    return {tuple(row) for row in fetch(url, "SELECT provider, name FROM key")}


def test_imported_keys_of_providers_become_identities_and_keys_again(empty_database: str) -> None:
    asyncio.run(migrate(empty_database, "0016"))
    execute(empty_database, KEYS_OF_LUCIA)
    before = keys_in(empty_database)
    asyncio.run(migrate(empty_database))
    for _ in range(2):
        identities = fetch(empty_database, "SELECT issuer, subject, created_at FROM identity")
        assert {(row["issuer"], row["subject"]) for row in identities} == MOVED
        assert {row["created_at"].year for row in identities} == {2020}
        assert before - keys_in(empty_database) == {
            *(("google", "42"), ("github", "42"), ("apple", "001.a.1"))
        }
        asyncio.run(migrate(empty_database, "0017"))
        assert keys_in(empty_database) == before
        assert fetch(empty_database, "SELECT FROM identity") == []
        asyncio.run(migrate(empty_database))
    asyncio.run(migrate(empty_database, "0016"))
    assert keys_in(empty_database) == before


def test_a_key_whose_identity_another_user_has_stays_a_key(empty_database: str) -> None:
    """Somebody has logged in with the account since the table exists; one has a password."""
    asyncio.run(migrate(empty_database, "0017"))
    execute(
        empty_database,
        f"""{KEYS_OF_LUCIA};
        INSERT INTO "user" (id) VALUES ('00000000-0000-0000-0000-000000000002');
        INSERT INTO identity (id, user_id, issuer, subject)
        SELECT gen_random_uuid(), id, 'https://github.com', '42' FROM "user"
        WHERE id = '00000000-0000-0000-0000-000000000002'
        UNION ALL SELECT gen_random_uuid(), user_id, 'https://accounts.google.com', '43'
        FROM key WHERE (provider, name) = ('google', '43')
        """,
    )
    before = keys_in(empty_database)
    asyncio.run(migrate(empty_database))
    assert before - keys_in(empty_database) == {("google", "42"), ("apple", "001.a.1")}
    asyncio.run(migrate(empty_database, "0017"))
    owner = "SELECT CAST(user_id AS text) FROM identity"
    assert [row[0][-1] for row in fetch(empty_database, owner)] == ["2"]
