"""The command, run as a user runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
import psutil
import pytest

from service.storage.schema import newest_revision
from tests.cli.running import OSTIARY, REPOSITORY, environment, run
from tests.databases import TestServer, fetch_value
from tests.factories import cookie, sign_up, token_of
from tests.services import PATIENCE, free_port
from tests.test_embedded_postgres import servers_in


class Serving:
    """``ostiary serve``, with what it printed first."""

    def __init__(self, process: subprocess.Popen[str], said: str, url: str) -> None:
        self.process = process
        self.said = said
        self.url = url

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=PATIENCE)

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(with_signal)
        return self.process.wait(PATIENCE)


@contextmanager
def started(log: IO[str] | None = None, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """``ostiary serve``, from its first moment on."""
    process = subprocess.Popen(
        [*OSTIARY, "serve"],
        env=environment(**variables),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(PATIENCE)
        process.stdout.close()


@contextmanager
def serving(data: Path, log: IO[str] | None = None, **variables: str) -> Iterator[Serving]:
    port = free_port()
    place = {"OSTIARY_DATA_DIR": str(data), "OSTIARY_PORT": str(port)}
    with started(log, **place, **variables) as process:
        assert process.stdout is not None
        yield Serving(process, process.stdout.readline(), f"http://127.0.0.1:{port}")


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "data"
    for process in servers_in(tmp_path):
        process.kill()
        process.wait()


def test_serve_says_where_it_listens_where_the_data_lie_and_where_the_documents_are(
    data: Path,
) -> None:
    with serving(data) as service:
        assert f"listens on {service.url} " in service.said
        assert f"documentation {service.url}/docs" in service.said
        assert f"data in {data}" in service.said


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_service_and_database_and_the_next_start_finds_the_data(
    data: Path, with_signal: signal.Signals
) -> None:
    with serving(data) as service, service.client() as client:
        token = token_of(sign_up(client))
        assert service.stop(with_signal) == 0
    assert servers_in(data) == []
    with serving(data) as service, service.client() as client:
        assert client.get("/me", headers=cookie(token)).status_code == 200


def test_ctrl_c_reaches_everybody_and_stops_them_once(data: Path) -> None:
    with serving(data) as service:
        os.killpg(service.process.pid, signal.SIGINT)
        assert service.process.wait(PATIENCE) == 0
    assert servers_in(data) == []


def test_who_is_told_to_stop_while_workers_start_stops(database_url: str) -> None:
    with started(DATABASE_URL=database_url, OSTIARY_PORT=str(free_port())) as process:
        while process.poll() is None and not psutil.Process(process.pid).children():
            """No worker is there that could miss it."""
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_after_a_kill_the_next_start_recovers_without_help_and_without_loss(data: Path) -> None:
    with serving(data) as service, service.client() as client:
        token = token_of(sign_up(client))
        workers = psutil.Process(service.process.pid).children()
        service.process.kill()
        service.process.wait()
        assert psutil.wait_procs(workers, timeout=PATIENCE)[1] == []
    with serving(data) as service, service.client() as client:
        assert client.get("/me", headers=cookie(token)).status_code == 200
        assert service.stop() == 0
    assert servers_in(data) == []


def test_a_second_serve_on_the_same_data_joins(data: Path) -> None:
    with serving(data) as first, first.client() as here:
        token = token_of(sign_up(here))
        with serving(data) as second, second.client() as there:
            assert there.get("/me", headers=cookie(token)).status_code == 200
            assert first.stop() == 0
            assert there.get("/me", headers=cookie(token)).status_code == 200


def test_a_port_in_use_is_told(data: Path) -> None:
    with serving(data) as service:
        port = service.url.rsplit(":", 1)[1]
        second = run("serve", OSTIARY_DATA_DIR=str(data), OSTIARY_PORT=port)
    assert second.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}: Address already in use." in second.stderr


def test_a_worker_that_dies_is_replaced(data: Path) -> None:
    with serving(data) as service, service.client() as client:
        (worker,) = psutil.Process(service.process.pid).children()
        worker.kill()
        deadline = time.monotonic() + PATIENCE
        while psutil.Process(service.process.pid).children() in ([], [worker]):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert answers(client, deadline)


def answers(client: httpx.Client, deadline: float) -> bool:
    while time.monotonic() < deadline:
        try:
            return client.get("/healthz").status_code == 200
        except httpx.TransportError:
            time.sleep(0.01)
    return False


def test_with_a_database_url_no_server_is_started(data: Path, database_url: str) -> None:
    with serving(data, DATABASE_URL=database_url) as service, service.client() as client:
        sign_up(client)
        assert not data.exists()
    assert fetch_value(database_url, "SELECT display_name FROM key") == "Alice"


def test_wrong_settings_are_all_told_before_anything_starts(data: Path) -> None:
    result = run("serve", OSTIARY_DATA_DIR=str(data), OSTIARY_PORT="x", OSTIARY_WORKERS="0")
    assert result.returncode == 1
    assert "OSTIARY_PORT" in result.stderr
    assert "OSTIARY_WORKERS" in result.stderr
    assert not data.exists()


def test_production_refuses_a_schema_that_is_behind(postgresql: TestServer) -> None:
    with postgresql.database(template="template0") as url:
        refused = run("serve", OSTIARY_ENV="production", DATABASE_URL=url)
        assert refused.returncode == 1
        assert "run `ostiary migrate` first" in refused.stderr
        migrated = run("migrate", OSTIARY_ENV="production", DATABASE_URL=url)
        assert migrated.returncode == 0
        assert newest_revision() in migrated.stdout


def test_migrate_goes_down_and_up(database_url: str) -> None:
    assert "is empty" in run("migrate", "--to", "base", DATABASE_URL=database_url).stdout
    assert newest_revision() in run("migrate", DATABASE_URL=database_url).stdout


def test_a_database_that_does_not_answer_is_told_without_its_password() -> None:
    url = f"postgresql://ostiary:sesame@127.0.0.1:{free_port()}/ostiary"
    result = run("migrate", DATABASE_URL=url)
    assert result.returncode == 1
    assert "The database does not answer" in result.stderr
    assert "sesame" not in result.stderr + result.stdout
    assert "Traceback" not in result.stderr


def test_the_committed_document_is_that_of_the_code() -> None:
    assert run("openapi", "--check").returncode == 0


def test_help_and_version_are_there() -> None:
    assert "serve" in run("--help").stdout
    assert run("--version").stdout.startswith("ostiary, version ")
