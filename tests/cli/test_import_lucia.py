"""``ostiary import-lucia``: the import of users, keys and sessions."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

import httpx
import pytest

from service.lucia.rows import key_of
from service.storage.bulk_load import LOAD_LOCK
from service.transfer.rejections import RowRejected
from service.transfer.user_ids import USER_NAMESPACE, user_id_of
from tests.auth.test_legacy_hashes import COSTLY, VECTORS
from tests.cli.running import run
from tests.databases import (
    Connection,
    TestServer,
    execute,
    fetch,
    fetch_value,
    held,
    on_connection,
    result_during,
)
from tests.factories import bearer, cookie, log_in, token_of
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
    ("discord:42", None, "u1alice"),
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

COLUMNS = {
    "key": ["id", "hashed_password", "user_id"],
    "session": ["id", "user_id", "active_expires", "idle_expires"],
}

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


def made(path: Path, **tables: list[tuple[Any, ...]]) -> str:
    """Create a site in SQLite with these rows, and return its URL."""
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path)
    for statement in schema(PRISMA):
        database.execute(statement)
    for table, values in tables.items():
        for row in values:
            columns = ["id"] if table == "user" else COLUMNS[table]
            marks = ", ".join("?" * len(row))
            names = ", ".join(columns)
            database.execute(f'INSERT INTO "{PRISMA[table]}" ({names}) VALUES ({marks})', row)
    database.commit()
    database.close()
    return f"sqlite:///{path}"


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
        "key": {"read": 9, "new": 5, "rejected": 4},
    }
    for row, reason in (
        ("username:ALICE", "another user has this name, as Alice"),
        ("username:not a name", "is imported as it is: Username must not contain spaces"),
        ("username:bo", "is imported as it is: Username must be at least 4 characters"),
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


def test_the_cookies_of_imported_sessions_need_no_prefix(site: Site, database_url: str) -> None:
    run_import(site(PRISMA), database_url, "--sessions")
    assert fetch_value(database_url, "SELECT bool_and(legacy_cookie) FROM session")


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
    execute(
        database_url,
        "DELETE FROM key WHERE name IN ('bo', '42'); DELETE FROM imported WHERE kind = 'key'",
    )
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
        ("sqlite:////nowhere/lucia.db", "there is no file /nowhere/lucia.db"),
        ("sqlite:///README.md", "not a database"),
        ("postgresql://127.0.0.1:1/lucia", "Connect call failed"),
        ("postgresql://127.0.0.1:99999/lucia", "its URL cannot be read"),
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
    assert "no user table" in result.stderr


REFUSED_NAMES = ["emoji\N{FOX FACE}", "<b> x </b>", "\u1f98 in title case", "a\u202eb"]


def test_names_that_sign_up_refuses_are_taken_as_they_are_and_log_in(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    keys = [(f"username:{name}", HASH, name) for name in REFUSED_NAMES]
    source = made(tmp_path / "lucia.db", user=[(name,) for name in REFUSED_NAMES], key=keys)
    tallies, messages = run_import(source, service.database_url)
    assert tallies["key"] == {"read": 4, "new": 4, "rejected": 0}
    assert messages.count("is imported as it is: Username must not") == 4
    assert "\u202e" not in messages
    for name in REFUSED_NAMES:
        client.cookies.clear()
        logged_in = log_in(client, name, password=PASSWORD)
        assert logged_in.status_code == 200
        assert logged_in.json()["user"]["username"] == name
    client.cookies.clear()
    assert log_in(client, REFUSED_NAMES[0], password="not the right one").status_code == 401
    shown = run("user", "show", "a\u202eb", DATABASE_URL=service.database_url)
    assert str(uuid5(USER_NAMESPACE, "a\u202eb")) in shown.stdout
    assert "\u202e" not in shown.stdout


ADDRESSES = [
    ("email:Jane@Example.com", HASH, "u1"),
    ("email:jane@EXAMPLE.COM", HASH, "u2"),
    ("email:not an address", HASH, "u3"),
    ("email:jane@faß.de", HASH, "u4"),
]


@pytest.mark.parametrize("option", [None, "--emails-verified"])
def test_addresses_are_imported_and_log_in(
    service: Service, client: httpx.Client, tmp_path: Path, option: str | None
) -> None:
    users = [(f"u{number}",) for number in range(1, 5)]
    source = made(tmp_path / "lucia.db", user=users, key=ADDRESSES)
    options = [] if option is None else [option]
    for new in (2, 0):
        tallies, messages = run_import(source, service.database_url, *options)
        assert tallies["key"] == {"read": 4, "new": new, "rejected": 2}
        for row, reason in (
            ("email:jane@EXAMPLE.COM", "another user has this address, as Jane@example.com"),
            ("email:not an address", "E-mail address is not valid."),
        ):
            (line,) = [line for line in messages.splitlines() if f"key '{row}'" in line]
            assert reason in line
    found = log_in(client, "JANE@example.com", password=PASSWORD).json()["user"]
    assert (found["username"], found["email"]) == (None, "Jane@example.com")
    assert (found["email_verified_at"] is None) == (option is None)
    assert found["id"] == str(user_id_of("u1"))
    assert log_in(client, "jane@xn--fa-hia.de", password=PASSWORD).status_code == 200


def test_a_name_that_no_database_can_store_is_the_name_of_nobody(client: httpx.Client) -> None:
    assert log_in(client, "nul\0", password=PASSWORD).status_code == 401


def test_rows_that_cannot_be_stored_are_reported_and_the_others_imported(
    database_url: str, tmp_path: Path
) -> None:
    """SQLite keeps values of any type in a column, and text that is not UTF-8."""
    source = made(
        tmp_path / "lucia.db",
        user=[("u1",), (None,), ("nul\0",), (b"\xff",), (7,)],
        key=[
            ("username:nul\0name", HASH, "u1"),
            ("username:blob", b"\x00", "u1"),
            ("username:" + "x" * 300, HASH, "u1"),
            ("x" * 3000 + ":name", HASH, "u1"),
            ("username:orphan", HASH, None),
            ("username:alice", HASH, "u1"),
        ],
        session=[
            ("e" * 40, "u1", "soon", NOW + DAY),
            ("f" * 40, "u1", NOW + DAY, None),
            ("g" * 40, "u1", 2**62, 2**62),
            ("h" * 40, "u1", -(2**62), NOW + DAY),
        ],
    )
    tallies, messages = run_import(source, database_url, "--sessions")
    assert tallies == {
        "user": {"read": 5, "new": 2, "rejected": 3},
        "key": {"read": 6, "new": 1, "rejected": 5},
        "session": {"read": 4, "new": 2, "rejected": 2},
    }
    assert "\0" not in messages
    assert "has a character that PostgreSQL cannot store" in messages
    assert "its idle expiry is not a number" in messages
    for session in ("e" * 40, "f" * 40):
        assert session not in messages


def log_out(client: httpx.Client, database_url: str) -> None:
    for token in (ACTIVE, IDLE):
        assert client.post("/logout", headers=cookie(token)).status_code == 204


def change_password(client: httpx.Client, database_url: str) -> None:
    change = {"current_password": PASSWORD, "new_password": "an entirely different one"}
    changed = client.put("/me/password", json=change, headers=cookie(ACTIVE))
    assert changed.status_code == 200
    client.cookies.clear()
    assert client.post("/logout", headers=cookie(token_of(changed))).status_code == 204


def delete_user(client: httpx.Client, database_url: str) -> None:
    deleted = client.request("DELETE", "/me", json={"password": PASSWORD}, headers=cookie(ACTIVE))
    assert deleted.status_code == 204


def expire(client: httpx.Client, database_url: str) -> None:
    execute(database_url, "UPDATE session SET idle_expires_at = now()")
    assert run("cleanup", DATABASE_URL=database_url).stdout.startswith("2 expired")


def end_all(client: httpx.Client, database_url: str) -> None:
    ended = run("sessions", "end-all", "--yes", DATABASE_URL=database_url)
    assert ended.stdout == "2 sessions ended.\n"


@pytest.mark.parametrize("end", [log_out, change_password, delete_user, expire, end_all])
def test_a_session_that_ended_is_not_imported_again(
    service: Service,
    client: httpx.Client,
    tmp_path: Path,
    end: Callable[[httpx.Client, str], None],
) -> None:
    source = made(tmp_path / "lucia.db", user=USERS[:1], key=KEYS[:2], session=SESSIONS[:2])
    tallies, _ = run_import(source, service.database_url, "--sessions")
    assert [tally["new"] for tally in tallies.values()] == [1, 2, 2]
    end(client, service.database_url)
    tallies, _ = run_import(source, service.database_url, "--sessions")
    assert [tally["new"] for tally in tallies.values()] == [0, 0, 0]
    client.cookies.clear()
    for token in (ACTIVE, IDLE):
        assert client.get("/me", headers=cookie(token)).status_code == 401
    refused = log_in(client, "alice", password=PASSWORD).status_code == 401
    assert refused == (end in {change_password, delete_user})


ADD_FACTOR = """
UPDATE "user" SET security_version = security_version + 1;
DELETE FROM session;
INSERT INTO passkey (id, user_id, credential_id, public_key, sign_count, rp_id, name,
                     is_backup_eligible, is_backed_up)
SELECT gen_random_uuid(), id, 'id', 'key', 0, 'example.com', 'Passkey', false, false FROM "user"
"""


def test_a_session_of_a_user_who_has_set_up_a_factor_since_is_not_imported(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    source = made(tmp_path / "lucia.db", user=USERS[:1], key=KEYS[:1])
    run_import(source, service.database_url, "--sessions")
    execute(service.database_url, ADD_FACTOR)
    source = made(tmp_path / "lucia.db", user=USERS[:1], key=KEYS[:1], session=SESSIONS[:3])
    tallies, messages = run_import(source, service.database_url, "--sessions")
    assert tallies["session"]["new"] == 0
    assert tallies["session"]["rejected"] == 2
    assert "its user has set up a second factor" in messages
    assert client.get("/me", headers=bearer(ACTIVE)).status_code == 401


def test_a_session_of_a_disabled_user_is_not_imported(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    """It would wake when the user is enabled."""
    source = made(tmp_path / "lucia.db", user=USERS[:1], key=KEYS[:1])
    run_import(source, service.database_url, "--sessions")
    execute(service.database_url, 'UPDATE "user" SET disabled_at = now()')
    source = made(tmp_path / "lucia.db", user=USERS[:1], key=KEYS[:1], session=SESSIONS[:3])
    tallies, messages = run_import(source, service.database_url, "--sessions")
    assert (tallies["session"]["new"], tallies["session"]["rejected"]) == (0, 2)
    assert "its user is disabled" in messages
    execute(service.database_url, 'UPDATE "user" SET disabled_at = NULL')
    assert client.get("/me", headers=bearer(ACTIVE)).status_code == 401


def test_a_session_of_a_user_who_sets_up_a_factor_meanwhile_is_not_imported(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    source = made(tmp_path / "lucia.db", user=USERS[:1], key=KEYS[:1])
    run_import(source, service.database_url, "--sessions")
    source = made(tmp_path / "lucia.db", user=USERS[:1], key=KEYS[:1], session=SESSIONS[:3])
    url = service.database_url
    tallies, _ = result_during(url, ADD_FACTOR, lambda: run_import(source, url, "--sessions"))
    assert tallies["session"]["new"] == 0
    assert client.get("/me", headers=bearer(ACTIVE)).status_code == 401


def test_a_deleted_user_is_reported_by_a_later_import(
    service: Service, client: httpx.Client, tmp_path: Path
) -> None:
    source = make_in_sqlite(tmp_path / "lucia.db", PRISMA)
    run_import(source, service.database_url, "--sessions")
    delete_user(client, service.database_url)
    _, messages = run_import(source, service.database_url, "--sessions")
    assert "rejected: user 'u1alice': was deleted since it was imported" in messages
    assert "key 'username:Alice': its user was deleted since it was imported" in messages
    remembered = "SELECT count(*) FROM imported WHERE kind <> 'user' AND user_id = $1"
    deleted = uuid5(USER_NAMESPACE, "u1alice")
    assert fetch_value(service.database_url, remembered, deleted) == 0


def test_a_key_that_was_removed_is_not_imported_again(database_url: str, tmp_path: Path) -> None:
    source = make_in_sqlite(tmp_path / "lucia.db", PRISMA)
    run_import(source, database_url)
    execute(database_url, "DELETE FROM key WHERE name = 'alice'")
    tallies, messages = run_import(source, database_url)
    # The name is free: the other user who had it at the old site gets it.
    assert tallies["key"]["new"] == 1
    assert "key 'username:Alice': another user has this name, as ALICE" in messages


def test_a_key_that_was_renamed_at_the_old_site_is_imported_by_the_next(
    database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "lucia.db"
    run_import(make_in_sqlite(path, PRISMA), database_url)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE Key SET id = 'username:Alice2' WHERE id = 'username:ALICE'")
    database.close()
    tallies, _ = run_import(f"sqlite:///{path}", database_url)
    assert tallies["key"]["new"] == 1


def test_two_imports_at_once_are_refused(database_url: str, tmp_path: Path) -> None:
    source = make_in_sqlite(tmp_path / "lucia.db", PRISMA)
    with held(database_url, f"SELECT pg_advisory_xact_lock({LOAD_LOCK})"):
        result = run("import-lucia", "--source", source, DATABASE_URL=database_url)
    assert result.stderr == "Another import into this database is running.\n"
    assert result.returncode == 1


@pytest.mark.parametrize(
    "source",
    [
        "postgresql://lucia:sesame@127.0.0.1:1/lucia",
        "postgresql://127.0.0.1:1/lucia?user=lucia&password=sesame",
        "postgresql://lucia:sesame#@127.0.0.1:1/lucia",
    ],
)
def test_the_source_is_not_an_argument_if_it_has_a_password(
    database_url: str, tmp_path: Path, source: str
) -> None:
    refused = run("import-lucia", "--source", source, DATABASE_URL=database_url)
    assert refused.returncode == 1
    assert refused.stderr.startswith("--source must not contain a password")
    file = tmp_path / "source"
    file.write_text(f"{source}\n")
    for variables in ({"OSTIARY_LUCIA_SOURCE": source}, {"OSTIARY_LUCIA_SOURCE_FILE": str(file)}):
        tried = run("import-lucia", DATABASE_URL=database_url, **variables)
        assert tried.returncode == 1
        assert tried.stderr.startswith("The source cannot be read: ")
        assert "sesame" not in refused.stderr + tried.stderr


def test_the_source_is_read_from_a_variable(database_url: str, tmp_path: Path) -> None:
    source = make_in_sqlite(tmp_path / "lucia.db", PRISMA)
    result = run("import-lucia", DATABASE_URL=database_url, OSTIARY_LUCIA_SOURCE=source)
    assert "users: 4 read, 4 new, 0 rejected" in result.stdout
    missing = run("import-lucia", DATABASE_URL=database_url)
    assert missing.returncode == 1
    assert missing.stderr.startswith("Name the source by --source")


def test_an_error_of_the_source_is_not_told_as_one_of_the_database(
    database_url: str, postgresql: TestServer
) -> None:
    role = f"reader_{uuid4().hex}"
    with postgresql.database(template="template0") as source:
        make_in_postgresql(source, PRISMA)
        execute(source, f'CREATE ROLE {role} LOGIN; GRANT INSERT ON "User" TO {role}')
        try:
            as_reader = source.replace("postgres@", f"{role}@")
            result = run("import-lucia", "--source", as_reader, DATABASE_URL=database_url)
        finally:
            execute(source, f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert result.returncode == 1
    assert result.stderr == "The source cannot be read: permission denied for table User.\n"


@pytest.mark.parametrize("password_hash", COSTLY)
def test_a_hash_that_costs_too_much_to_verify_is_rejected(password_hash: str) -> None:
    with pytest.raises(RowRejected, match="costs too much"):
        key_of("username:Alice", password_hash, "u1alice")
