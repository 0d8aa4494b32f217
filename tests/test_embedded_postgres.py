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

from service import embedded_postgres
from service.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresFailed
from tests.databases import execute, fetch_value, servers_in
from tests.services import PATIENCE


def start_and_die(directory: Path) -> None:
    EmbeddedPostgres(directory).start()
    os.kill(os.getpid(), signal.SIGKILL)


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


def test_a_killed_user_does_not_keep_the_server_running(used_directory: Path) -> None:
    """The next user joins the server and then stops it."""
    process = multiprocessing.get_context("fork").Process(
        target=start_and_die, args=(used_directory,)
    )
    process.start()
    process.join()
    assert len(servers_in(used_directory)) == 1
    server = EmbeddedPostgres(used_directory)
    server.start()
    assert fetch_value(server.url(), "SELECT 1") == 1
    server.stop()
    assert servers_in(used_directory) == []


def test_a_killed_server_recovers_without_loss(used_directory: Path) -> None:
    server = EmbeddedPostgres(used_directory)
    server.start()
    execute(server.url(), "CREATE TABLE kept AS SELECT 7 AS number")
    (postmaster,) = servers_in(used_directory)
    family = [postmaster, *postmaster.children(recursive=True)]
    for process in family:
        process.kill()
    assert psutil.wait_procs(family, timeout=PATIENCE)[1] == []
    again = EmbeddedPostgres(used_directory)
    again.start()
    assert fetch_value(again.url(), "SELECT number FROM kept") == 7
    server.stop()
    again.stop()


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
    Path(server.url().partition("?host=")[2]).rmdir()


def test_foreign_data_are_kept_and_reported(empty_directory: Path) -> None:
    (empty_directory / "postgresql").mkdir(parents=True)
    note = empty_directory / "postgresql" / "mine.txt"
    note.write_text("not a database")
    server = EmbeddedPostgres(empty_directory)
    with pytest.raises(EmbeddedPostgresFailed, match="postgresql"):
        server.start()
    assert note.read_text() == "not a database"


@pytest.fixture
def new_account(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Provide the name of an account that does not exist, and remove it afterwards."""
    name = f"ostiary{os.getpid()}"
    monkeypatch.setattr(embedded_postgres, "ACCOUNT_WHEN_ROOT", name)
    yield name
    subprocess.run(["userdel", name], check=False, capture_output=True)


def send_account(start: Barrier, connection: Connection) -> None:
    start.wait()
    try:
        account = embedded_postgres._server_account()
    except (KeyError, subprocess.CalledProcessError) as error:
        connection.send(repr(error))
    else:
        connection.send(None if account is None else account.pw_uid)


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
