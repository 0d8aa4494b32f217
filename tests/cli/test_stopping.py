"""Stopping ``ostiary serve``, at any time and however often it is told to."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from service.cli.context import provide_database
from service.settings import Settings
from tests.cli.running import Command
from tests.cli.test_serve import answers, serving, started
from tests.databases import servers_in
from tests.factories import sign_up
from tests.services import PATIENCE, Service, reserved_port, wait_for


def interrupt_until_ended(process: Command) -> None:
    """Send SIGINT to all processes, as Ctrl-C does, again and again."""
    deadline = time.monotonic() + PATIENCE
    while process.is_running() and time.monotonic() < deadline:
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.01)


def test_ctrl_c_again_and_again_stops_all_processes_without_a_word(
    used_directory: Path, tmp_path: Path
) -> None:
    with (
        (tmp_path / "log").open("w") as log,
        serving(used_directory, log, OSTIARY_LOG_LEVEL="warning") as service,
    ):
        with service.client() as client:
            sign_up(client)  # starts a hash process
        processes = psutil.Process(service.process.pid).children(recursive=True)
        log.truncate(0)
        interrupt_until_ended(service.process)
        assert service.process.wait() == 0
        assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []
        assert (tmp_path / "log").read_text().strip("\0") == ""
    assert servers_in(used_directory) == []


def test_ctrl_c_during_the_first_start_leaves_nothing_running(
    empty_directory: Path, tmp_path: Path
) -> None:
    with (
        (tmp_path / "log").open("w") as log,
        reserved_port() as port,
        started(log, OSTIARY_DATA_DIR=str(empty_directory), OSTIARY_PORT=str(port)) as (process, _),
    ):
        wait_for((empty_directory / "postgresql.unfinished").exists, "initdb has begun")
        interrupt_until_ended(process)
        assert process.wait() == 0
        assert (tmp_path / "log").read_text() == ""
    assert servers_in(empty_directory) == []


def test_no_process_survives_the_death_of_the_service(used_directory: Path) -> None:
    with serving(used_directory) as service, service.client() as client:
        sign_up(client)  # starts a hash process
        processes = psutil.Process(service.process.pid).children(recursive=True)
        service.process.kill()
        assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []
    wait_for(lambda: servers_in(used_directory) == [], "the embedded server has stopped")


@pytest.mark.own_service
def test_a_worker_that_dies_again_and_again_is_replaced_each_time(service: Service) -> None:
    for _ in range(2):
        (worker,) = service.process.children()
        worker.kill()
        wait_for(lambda: service.process.children() not in ([], [worker]), "there is another one")  # noqa: B023
    with service.client() as client:
        wait_for(lambda: answers(client), "the third worker answers")
    assert service.log.read_text().count("worker_died") == 2
    assert "SIGKILL" in service.log.read_text()


def test_an_embedded_server_that_does_not_stop_is_told(
    used_directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PGCTLTIMEOUT", "1")
    with pytest.raises(SystemExit), provide_database(Settings(data_dir=used_directory)):
        (server,) = servers_in(used_directory)
        server.suspend()
    server.resume()
    assert capsys.readouterr().err.startswith("pg_ctl failed: ")
    wait_for(lambda: servers_in(used_directory) == [], "the embedded server has stopped")
