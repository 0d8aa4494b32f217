"""The embedded server, whose users start, stop and are killed."""

from __future__ import annotations

import multiprocessing
import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

import psutil
import pytest

from service.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresFailed, account
from service.embedded_postgres.place import socket_directory
from service.embedded_postgres.server import READY
from tests.databases import execute, fetch_value, servers_in
from tests.services import PATIENCE, wait_for


def start_and_die(directory: Path) -> None:
    EmbeddedPostgres(directory).start()
    os.kill(os.getpid(), signal.SIGKILL)


def arguments_of(process: psutil.Process) -> list[str]:
    """Return the arguments of a process; none if it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_stopping_leaves_no_process_and_keeps_the_data(
    empty_directory: Path,
) -> None:
    server = EmbeddedPostgres(empty_directory)
    server.start()
    execute(server.url(), "CREATE TABLE kept AS SELECT 7 AS number")
    server.stop()
    assert servers_in(empty_directory) == []
    again = EmbeddedPostgres(empty_directory)
    again.start()
    assert fetch_value(again.url(), "SELECT number FROM kept") == 7
    again.stop()


def test_the_server_is_postgresql_18_and_listens_on_no_network(used_directory: Path) -> None:
    server = EmbeddedPostgres(used_directory)
    server.start()
    assert fetch_value(server.url(), "SHOW server_version").startswith("18")
    (process,) = servers_in(used_directory)
    assert [each for each in process.net_connections("inet") if each.status == "LISTEN"] == []
    server.stop()


def test_only_the_owner_can_access_data_and_socket(empty_directory: Path) -> None:
    server = EmbeddedPostgres(empty_directory)
    server.start()
    for path in (empty_directory, empty_directory / "postgresql", empty_directory / "socket"):
        assert path.stat().st_mode & 0o077 == 0
    server.stop()


def test_the_last_user_stops_the_server(used_directory: Path) -> None:
    first, second = EmbeddedPostgres(used_directory), EmbeddedPostgres(used_directory)
    first.start()
    second.start()
    first.stop()
    assert fetch_value(second.url(), "SELECT 1") == 1
    second.stop()
    assert servers_in(used_directory) == []


def test_the_server_stops_when_its_last_user_is_killed(used_directory: Path) -> None:
    process = multiprocessing.get_context("fork").Process(
        target=start_and_die, args=(used_directory,)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    wait_for(lambda: servers_in(used_directory) == [], "the server has stopped")
    # Stopped, not killed: it need not recover.
    assert "database system is shut down" in (used_directory / "postgresql.log").read_text()


def test_the_server_stays_when_another_user_is_killed(used_directory: Path) -> None:
    server = EmbeddedPostgres(used_directory)
    server.start()
    process = multiprocessing.get_context("fork").Process(
        target=start_and_die, args=(used_directory,)
    )
    process.start()
    process.join()
    assert fetch_value(server.url(), "SELECT 1") == 1
    server.stop()
    assert servers_in(used_directory) == []


def test_a_killed_server_is_started_again_without_loss(
    used_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = EmbeddedPostgres(used_directory)
    server.start()
    execute(server.url(), "CREATE TABLE kept AS SELECT 7 AS number")
    (postmaster,) = servers_in(used_directory)
    family = [postmaster, *postmaster.children(recursive=True)]
    for process in family:
        process.kill()
    assert psutil.wait_procs(family, timeout=PATIENCE)[1] == []
    wait_for(lambda: server._status() == READY, "the server has been started again")
    assert fetch_value(server.url(), "SELECT number FROM kept") == 7
    server.stop()
    assert servers_in(used_directory) == []


def test_a_server_that_is_started_again_needs_no_further_guardian(used_directory: Path) -> None:
    server = EmbeddedPostgres(used_directory)
    server.start()
    for _ in range(2):
        server._start_guardian()
    lock = str(used_directory / "users.lock")
    guardians = [each for each in psutil.process_iter() if lock in arguments_of(each)]
    server.stop()
    assert len(guardians) == 1


def test_an_interrupted_initialisation_is_repeated(empty_directory: Path) -> None:
    unfinished = empty_directory / "postgresql.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(empty_directory)
    server.start()
    assert fetch_value(server.url(), "SELECT 1") == 1
    server.stop()


def test_a_reused_process_id_is_not_taken_for_a_server(used_directory: Path) -> None:
    server = EmbeddedPostgres(used_directory)
    server.start()
    pid_file = used_directory / "postgresql" / "postmaster.pid"
    text = pid_file.read_text()
    server.stop()
    pid_file.write_text(text.replace(text.split("\n", 1)[0], str(os.getpid()), 1))
    again = EmbeddedPostgres(used_directory)
    again.start()
    assert fetch_value(again.url(), "SELECT 1") == 1
    again.stop()


def test_a_path_too_long_for_a_socket_is_supported(empty_directory: Path) -> None:
    directory = empty_directory / ("d" * 60) / ("e" * 60)
    server = EmbeddedPostgres(directory)
    server.start()
    assert fetch_value(server.url(), "SELECT 1") == 1
    server.stop()
    assert servers_in(directory) == []
    assert not Path(server.url().partition("?host=")[2]).exists()


def test_foreign_data_are_kept_and_reported(empty_directory: Path) -> None:
    (empty_directory / "postgresql").mkdir(parents=True)
    note = empty_directory / "postgresql" / "mine.txt"
    note.write_text("not a database")
    server = EmbeddedPostgres(empty_directory)
    with pytest.raises(EmbeddedPostgresFailed, match="postgresql"):
        server.start()
    assert note.read_text() == "not a database"


def refusal(directory: Path) -> str:
    """Return why a server cannot be started, in the words that the user reads."""
    with pytest.raises(EmbeddedPostgresFailed) as refused:
        EmbeddedPostgres(directory).start()
    return str(refused.value)


def test_data_of_another_version_are_kept_and_reported(empty_directory: Path) -> None:
    data = empty_directory / "postgresql"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("16\n")
    assert "made by PostgreSQL 16, and this is 18" in refusal(empty_directory)
    assert sorted(path.name for path in empty_directory.rglob("*")) == ["PG_VERSION", "postgresql"]


@pytest.mark.parametrize("place", ["file", "file/below", "file/far/below"])
def test_a_file_in_the_place_of_the_directory_is_reported(
    empty_directory: Path, place: str
) -> None:
    (empty_directory.parent / "file").write_text("mine")
    assert "file is not a directory" in refusal(empty_directory.parent / place)


def test_a_directory_that_cannot_be_made_is_reported() -> None:
    """Nobody can make one in /proc, not even root."""
    assert "/proc/data cannot be used: " in refusal(Path("/proc/data"))


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other accounts")
SOMEBODY = 54321


@as_root
@pytest.mark.parametrize("whose", ["data", "data/postgresql"])
def test_data_of_another_account_are_left_alone(empty_directory: Path, whose: str) -> None:
    (empty_directory / "postgresql").mkdir(parents=True)
    (empty_directory / "postgresql" / "PG_VERSION").write_text("18\n")
    os.chown(empty_directory.parent / whose, SOMEBODY, SOMEBODY)
    before = snapshot(empty_directory)
    assert f"belongs to {SOMEBODY}, not to root.\nRun this as {SOMEBODY}" in refusal(
        empty_directory
    )
    assert snapshot(empty_directory) == before


@as_root
def test_root_makes_nothing_in_the_checkout_of_a_user(empty_directory: Path) -> None:
    os.chown(empty_directory.parent, SOMEBODY, SOMEBODY)
    message = refusal(empty_directory / "a" / "b")
    assert f"Run this as {SOMEBODY}, without sudo" in message
    assert list(empty_directory.parent.iterdir()) == []


@as_root
def test_the_modes_of_directories_above_are_not_changed(empty_directory: Path) -> None:
    parent = empty_directory.parent
    parent.chmod(0o700)
    assert f"may not enter or execute {parent}\n" in refusal(empty_directory)
    assert parent.stat().st_mode & 0o777 == 0o700
    assert list(parent.iterdir()) == []


@as_root
def test_a_directory_of_root_with_other_files_is_not_given_away(empty_directory: Path) -> None:
    empty_directory.mkdir()
    (empty_directory / "notes").touch()
    assert "holds other files" in refusal(empty_directory)
    assert empty_directory.stat().st_uid == 0


def snapshot(directory: Path) -> list[tuple[str, int, int]]:
    """Return all files with their owners and modes."""
    return sorted(
        (str(path), path.lstat().st_uid, path.lstat().st_mode)
        for path in (directory, *directory.rglob("*"))
    )


@as_root
@pytest.mark.parametrize("kind", ["directory", "link"])
def test_a_socket_directory_that_somebody_else_made_first_is_refused(
    empty_directory: Path, kind: str
) -> None:
    directory = empty_directory / ("d" * 60) / ("e" * 60)
    planted = socket_directory(directory)
    target = empty_directory.parent / "target"
    target.mkdir()
    if kind == "link":
        planted.symlink_to(target)
    else:
        planted.mkdir()
        os.chown(planted, SOMEBODY, SOMEBODY)
    try:
        assert str(planted) in refusal(directory)
        assert target.stat().st_uid == 0
    finally:
        planted.unlink() if kind == "link" else planted.rmdir()


@pytest.fixture
def new_account(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Provide the name of an account that does not exist, and remove it afterwards."""
    name = f"ostiary{os.getpid()}"
    monkeypatch.setattr(account, "ACCOUNT_WHEN_ROOT", name)
    yield name
    subprocess.run(["userdel", name], check=False, capture_output=True)


def send_account(start: Barrier, connection: Connection) -> None:
    start.wait()
    try:
        found = account.server_account()
    except EmbeddedPostgresFailed as error:
        connection.send(repr(error))
    else:
        connection.send(None if found is None else found.pw_uid)


@pytest.mark.skipif(os.geteuid() != 0, reason="creates an account of the system")
def test_processes_that_create_the_account_at_the_same_time_get_the_same_one(
    new_account: str,
) -> None:
    fork = multiprocessing.get_context("fork")
    start = fork.Barrier(8)
    accounts = []
    processes = []
    for _ in range(8):
        receiving, sending = fork.Pipe(duplex=False)
        processes.append(fork.Process(target=send_account, args=(start, sending)))
        processes[-1].start()
        sending.close()
        accounts.append(receiving)
    received = [each.recv() for each in accounts]
    for each in processes:
        each.join()
    assert set(received) == {pwd.getpwnam(new_account).pw_uid}
