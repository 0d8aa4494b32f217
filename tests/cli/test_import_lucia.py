"""``ostiary import-lucia``: the import of users, keys and sessions."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import httpx
import pytest

from service.lucia.rows import USER_NAMESPACE, RowRejected, key_of
from tests.auth.test_legacy_hashes import COSTLY, VECTORS
from tests.cli.running import run
from tests.databases import Connection, TestServer, execute, fetch, fetch_value, on_connection
from tests.factories import bearer, cookie, log_in
from tests.services import Service

PASSWORD = VECTORS["lucia_v2_scrypt"][0]["password"]
HASH = VECTORS["lucia_v2_scrypt"][0]["hash"]
NOW = int(time.time() * 1000)
DAY = 86_400_000
ACTIVE = "a" * 20 + "0123456789abcdefghij"
IDLE = "b" * 20 + "0123456789abcdefghij"
DEAD = "c" * 20 + "0123456789abcdefghij"

USERS = [("u1alice",), ("u2bobby",), ("u3carol",), ("6f737469-0000-4000-8000-000000000001",)]
KEYS = [
    ("username:Alice", HASH, "u1alice"),
    ("github:42", None, "u1alice"),
    ("username:bo", HASH, "u2bobby"),
    ("username:ALICE", HASH, "u3carol"),
    ("username:not a name", HASH, "u3carol"),
    ("username:Carol", "md5:nobody knows", "u3carol"),
    ("email:carol@example.com", HASH, "u3carol"),
    ("nocolon", HASH, "u3carol"),
    ("username:Ghost", HASH, "u9ghost"),
]
SESSIONS = [
    (ACTIVE, "u1alice", NOW + DAY, NOW + 15 * DAY),
    (IDLE, "u1alice", NOW - DAY, NOW + 13 * DAY),
    (DEAD, "u1alice", NOW - 20 * DAY, NOW - DAY),
    ("an id of the site's own making", "u1alice", NOW + DAY, NOW + 15 * DAY),
    ("d" * 40, "u9ghost", NOW + DAY, NOW + 15 * DAY),
]

PRISMA = {"user": "User", "key": "Key", "session": "Session"}
SQL_ADAPTER = {"user": "auth_user", "key": "user_key", "session": "user_session"}

Site = Callable[[dict[str, str]], str]


def schema(names: dict[str, str]) -> list[str]:
    return [
        f'CREATE TABLE "{names["user"]}" (id TEXT PRIMARY KEY, nickname TEXT)',
        f'CREATE TABLE "{names["key"]}" (id TEXT PRIMARY KEY, hashed_password TEXT, user_id TEXT)',
        (
            f'CREATE TABLE "{names["session"]}" (id TEXT PRIMARY KEY, user_id TEXT, '
            "active_expires BIGINT, idle_expires BIGINT)"
        ),
    ]


def rows(names: dict[str, str]) -> Iterator[tuple[str, tuple[str, ...], list[tuple[Any, ...]]]]:
    yield names["user"], ("id",), list(USERS)
    yield names["key"], ("id", "hashed_password", "user_id"), list(KEYS)
    yield names["session"], ("id", "user_id", "active_expires", "idle_expires"), list(SESSIONS)


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path: Path, postgresql: TestServer) -> Iterator[Site]:
    """Return a function that creates a Lucia database and returns its URL."""
    if request.param == "sqlite":
        yield lambda names: make_in_sqlite(tmp_path / "lucia.db", names)
    else:
        with postgresql.database(template="template0") as url:
            yield lambda names: make_in_postgresql(url, names)


def make_in_sqlite(path: Path, names: dict[str, str]) -> str:
    database = sqlite3.connect(path)
    for statement in schema(names):
        database.execute(statement)
    for table, columns, values in rows(names):
        marks = ", ".join("?" * len(columns))
        database.executemany(
            f'INSERT INTO "{table}" ({", ".join(columns)}) VALUES ({marks})', values
        )
    database.commit()
    database.close()
    return f"sqlite:///{path}"


def make_in_postgresql(url: str, names: dict[str, str]) -> str:
    async def make(connection: Connection) -> None:
        await connection.execute("; ".join(schema(names)))
        for table, columns, values in rows(names):
            await connection.copy_records_to_table(table, columns=columns, records=values)

    on_connection(url, make)
    return url


def run_import(source: str, database_url: str, *options: str) -> tuple[dict[str, Any], str]:
    """Import, and return the tallies by table and the messages."""
    result = run(
        *("import-lucia", "--source", source, "--json", *options), DATABASE_URL=database_url
    )
    assert result.returncode == 0, result.stderr
    tables = json.loads(result.stdout)["tables"]
    return {table.pop("table"): table for table in tables}, result.stderr


def contents(database_url: str) -> list[Any]:
    return [
        fetch(database_url, f"SELECT * FROM {table} ORDER BY 1, 2")
        for table in ('"user"', "key", "session")
    ]


@pytest.mark.parametrize("names", [PRISMA, SQL_ADAPTER], ids=["prisma", "sql adapter"])
def test_users_and_keys_are_imported_and_rejections_explained(
    site: Site, names: dict[str, str], database_url: str
) -> None:
    tallies, messages = run_import(site(names), database_url)
    assert tallies == {
        "user": {"read": 4, "new": 4, "rejected": 0},
        "key": {"read": 9, "new": 4, "rejected": 5},
    }
    for row, reason in (
        ("username:ALICE", "another user has this name, as Alice"),
        ("username:not a name", "must not contain spaces"),
        ("username:Carol", "its password hash has an unknown form"),
        ("nocolon", "not of the form provider:name"),
        ("username:Ghost", "there is no such user"),
    ):
        (line,) = [line for line in messages.splitlines() if f"key '{row}'" in line]
        assert reason in line
    assert "scrypt" not in messages
    assert HASH not in messages


@pytest.mark.own_service
def test_an_imported_user_can_log_in_and_is_rehashed(
    site: Site, service: Service, client: httpx.Client
) -> None:
    run_import(site(PRISMA), service.database_url)
    for username in ("alice", "bo"):
        client.cookies.clear()
        assert log_in(client, username, password=PASSWORD).status_code == 200
        stored = "SELECT password_hash FROM key WHERE name = $1"
        upgraded = fetch_value(service.database_url, stored, username)
        assert upgraded.startswith("$argon2id$")
        client.cookies.clear()
        assert log_in(client, username, password=PASSWORD).status_code == 200
        assert log_in(client, username, password="not the right one").status_code == 401


def test_ids_are_kept_or_derived_from_the_old_ones(site: Site, database_url: str) -> None:
    run_import(site(PRISMA), database_url)
    ids = {row["id"] for row in fetch(database_url, 'SELECT id FROM "user"')}
    made = {uuid5(USER_NAMESPACE, lucia_id) for (lucia_id,) in USERS[:3]}
    assert ids == made | {UUID(USERS[3][0])}


def test_sessions_are_imported_only_on_request(site: Site, database_url: str) -> None:
    run_import(site(PRISMA), database_url)
    assert fetch_value(database_url, "SELECT count(*) FROM session") == 0


def test_imported_live_sessions_stay_valid(
    site: Site, service: Service, client: httpx.Client
) -> None:
    tallies, messages = run_import(site(PRISMA), service.database_url, "--sessions")
    assert tallies["session"] == {"read": 5, "new": 2, "rejected": 2}
    for session_id, _, _, _ in SESSIONS:
        assert session_id not in messages
    active = client.get("/me", headers=cookie(ACTIVE))
    assert active.json()["user"]["username"] == "Alice"
    assert client.get("/me", headers=bearer(ACTIVE)).status_code == 200
    renewed = client.get("/me", headers=cookie(IDLE))
    assert renewed.json()["session"]["fresh"] is True
    assert renewed.headers["set-cookie"].startswith(f"auth_session={IDLE};")
    assert client.get("/me", headers=cookie(DEAD)).status_code == 401


def test_the_database_does_not_contain_imported_session_ids(site: Site, database_url: str) -> None:
    run_import(site(PRISMA), database_url, "--sessions")
    for row in fetch(database_url, "SELECT * FROM session"):
        assert ACTIVE.encode() not in row["secret_hash"]
        assert ACTIVE not in str(dict(row))


@pytest.mark.own_service
def test_a_repeated_import_changes_nothing(
    site: Site, service: Service, client: httpx.Client
) -> None:
    source = site(PRISMA)
    run_import(source, service.database_url, "--sessions")
    log_in(client, "alice", password=PASSWORD)
    before = contents(service.database_url)
    tallies, _ = run_import(source, service.database_url, "--sessions")
    assert [tally["new"] for tally in tallies.values()] == [0, 0, 0]
    assert contents(service.database_url) == before


def test_a_dry_run_reports_the_same_and_changes_nothing(site: Site, database_url: str) -> None:
    source = site(PRISMA)
    rehearsed, messages_before = run_import(source, database_url, "--sessions", "--dry-run")
    assert contents(database_url) == [[], [], []]
    done, messages_after = run_import(source, database_url, "--sessions")
    assert rehearsed == done
    assert messages_before == messages_after


def test_an_interrupted_import_is_completed_by_the_next(site: Site, database_url: str) -> None:
    """All users were imported, but only some of the keys."""
    source = site(PRISMA)
    run_import(source, database_url)
    execute(database_url, "DELETE FROM key WHERE name IN ('bo', '42')")
    tallies, _ = run_import(source, database_url)
    assert tallies["key"]["new"] == 2


def test_an_existing_user_keeps_the_name(
    site: Site, service: Service, client: httpx.Client
) -> None:
    client.post("/signup", json={"username": "Alice", "password": "correct horse battery"})
    tallies, messages = run_import(site(PRISMA), service.database_url)
    assert "rejected: key 'username:Alice': another user has this name" in messages
    assert tallies["user"]["new"] == 4
    assert log_in(client, "Alice", password="correct horse battery").status_code == 200


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("mysql://localhost/lucia", "must be postgresql://"),
        ("sqlite:////nowhere/lucia.db", "There is no file /nowhere/lucia.db"),
        ("sqlite:///README.md", "not a database"),
        ("postgresql://127.0.0.1:1/lucia", "Connect call failed"),
    ],
)
def test_an_invalid_source_is_reported(database_url: str, source: str, reason: str) -> None:
    result = run("import-lucia", "--source", source, DATABASE_URL=database_url)
    assert result.returncode == 1
    assert reason in result.stderr
    assert "Traceback" not in result.stderr


def test_a_source_without_lucia_tables_is_reported(database_url: str, tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "empty.db").close()
    (tmp_path / "empty.db").touch()
    source = f"sqlite:///{tmp_path / 'empty.db'}"
    result = run("import-lucia", "--source", source, DATABASE_URL=database_url)
    assert result.returncode == 1
    assert "No user table" in result.stderr


@pytest.mark.parametrize("password_hash", COSTLY)
def test_a_hash_that_costs_too_much_to_verify_is_rejected(password_hash: str) -> None:
    with pytest.raises(RowRejected, match="costs too much"):
        key_of("username:Alice", password_hash, "u1alice")
