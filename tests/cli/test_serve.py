"""`ostiary serve`, as an operator runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
import psutil
import pytest

from service.storage.schema import revisions
from tests.cli.running import Command, environment, run
from tests.databases import TestServer, fetch_value, servers_in
from tests.factories import cookie, sign_up, token_of
from tests.services import PATIENCE, UNUSED_TLS, reserved_port, wait_for


class Serving:
    """A running ``ostiary serve``, with the line that it printed."""

    def __init__(self, process: Command, output: str, url: str) -> None:
        self.process = process
        self.output = output
        self.url = url

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=PATIENCE, verify=UNUSED_TLS)

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(with_signal)
        return self.process.wait()


@contextmanager
def started(log: IO[str] | None = None, **variables: str) -> Iterator[tuple[Command, IO[str]]]:
    """Start ``ostiary serve``, without waiting until it listens. Yields its output as well."""
    reading, writing = os.pipe()
    process = Command(
        ["serve"],
        environment(**variables),
        stdin=0,
        stdout=writing,
        stderr=2 if log is None else log.fileno(),
    )
    os.close(writing)
    with os.fdopen(reading) as output:
        try:
            yield process, output
        finally:
            process.terminate()
            process.wait()


@contextmanager
def serving(data: Path, log: IO[str] | None = None, **variables: str) -> Iterator[Serving]:
    with reserved_port() as port:
        place = {"OSTIARY_DATA_DIR": str(data), "OSTIARY_PORT": str(port)}
        with started(log, **place, **variables) as (process, output):
            yield Serving(process, output.readline(), f"http://127.0.0.1:{port}")


def test_serve_prints_its_url_its_documentation_and_its_data_directory(
    empty_directory: Path,
) -> None:
    with serving(empty_directory) as service:
        url = service.url.replace("127.0.0.1", "localhost")
        assert f"listens on {url} " in service.output
        assert f"documentation {url}/docs" in service.output
        assert f"data in {empty_directory}" in service.output


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_service_and_database_without_losing_data(
    empty_directory: Path, with_signal: signal.Signals
) -> None:
    with serving(empty_directory) as service, service.client() as client:
        token = token_of(sign_up(client))
        assert service.stop(with_signal) == 0
    assert servers_in(empty_directory) == []
    with serving(empty_directory) as service, service.client() as client:
        assert client.get("/me", headers=cookie(token)).status_code == 200


def test_ctrl_c_stops_all_processes(used_directory: Path) -> None:
    with serving(used_directory) as service:
        os.killpg(service.process.pid, signal.SIGINT)
        assert service.process.wait() == 0
    assert servers_in(used_directory) == []


def test_a_signal_during_the_start_stops_the_service(database_url: str) -> None:
    with (
        reserved_port() as port,
        started(DATABASE_URL=database_url, OSTIARY_PORT=str(port)) as (process, _),
    ):
        supervisor = psutil.Process(process.pid)
        wait_for(supervisor.children, "a worker, which could miss the signal, is there")
        process.terminate()
        assert process.wait() == 0


def test_the_next_start_after_a_kill_recovers_all_data(
    used_directory: Path,
) -> None:
    with serving(used_directory) as service, service.client() as client:
        token = token_of(sign_up(client))
        workers = psutil.Process(service.process.pid).children()
        service.process.kill()
        service.process.wait()
        assert psutil.wait_procs(workers, timeout=PATIENCE)[1] == []
    with serving(used_directory) as service, service.client() as client:
        assert client.get("/me", headers=cookie(token)).status_code == 200
        assert service.stop() == 0
    assert servers_in(used_directory) == []


def test_a_second_service_shares_the_embedded_database(used_directory: Path) -> None:
    with serving(used_directory) as first, first.client() as here:
        token = token_of(sign_up(here))
        with serving(used_directory) as second, second.client() as there:
            assert there.get("/me", headers=cookie(token)).status_code == 200
            assert first.stop() == 0
            assert there.get("/me", headers=cookie(token)).status_code == 200


def test_a_port_in_use_is_reported(used_directory: Path) -> None:
    with serving(used_directory) as service:
        port = service.url.rsplit(":", 1)[1]
        second = run("serve", OSTIARY_DATA_DIR=str(used_directory), OSTIARY_PORT=port)
    assert second.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}: Address already in use." in second.stderr


def test_a_dead_worker_is_replaced(used_directory: Path) -> None:
    with serving(used_directory) as service, service.client() as client:
        supervisor = psutil.Process(service.process.pid)
        (worker,) = supervisor.children()
        worker.kill()
        wait_for(
            lambda: supervisor.children() not in ([], [worker]), "another worker has been started"
        )
        wait_for(lambda: answers(client), "the other worker answers")


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_with_a_database_url_no_embedded_server_is_started(
    empty_directory: Path, database_url: str
) -> None:
    with serving(empty_directory, DATABASE_URL=database_url) as service, service.client() as client:
        sign_up(client)
        assert not empty_directory.exists()
    assert fetch_value(database_url, "SELECT display_name FROM key") == "Alice"


def test_all_invalid_settings_are_reported_before_the_start(empty_directory: Path) -> None:
    result = run(
        "serve", OSTIARY_DATA_DIR=str(empty_directory), OSTIARY_PORT="x", OSTIARY_WORKERS="0"
    )
    assert result.returncode == 1
    assert "OSTIARY_PORT" in result.stderr
    assert "OSTIARY_WORKERS" in result.stderr
    assert not empty_directory.exists()


def test_production_refuses_a_schema_that_is_behind(postgresql: TestServer) -> None:
    with postgresql.database(template="template0") as url:
        refused = run("serve", OSTIARY_ENV="production", DATABASE_URL=url)
        assert refused.returncode == 1
        assert "run `ostiary migrate` first" in refused.stderr
        migrated = run("migrate", OSTIARY_ENV="production", DATABASE_URL=url)
        assert migrated.returncode == 0
        assert revisions()[-1] in migrated.stdout


def test_migrate_can_downgrade_and_upgrade(database_url: str) -> None:
    assert "to empty" in run("migrate", "--to", "base", DATABASE_URL=database_url).stdout
    assert revisions()[-1] in run("migrate", DATABASE_URL=database_url).stdout


def test_the_database_url_may_be_in_a_file(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "url"
    refused = run("migrate", DATABASE_URL_FILE=str(file))
    assert refused.returncode == 1
    reason = f"DATABASE_URL_FILE: {file} cannot be read: No such file or directory"
    assert refused.stderr == f"Invalid settings:\n  {reason}\n"
    file.write_text(f"{database_url}\n")
    assert run("migrate", DATABASE_URL_FILE=str(file)).returncode == 0
    with (
        serving(Path("unused"), DATABASE_URL_FILE=str(file)) as service,
        service.client() as client,
    ):
        assert sign_up(client).status_code == 201
    assert fetch_value(database_url, "SELECT display_name FROM key") == "Alice"


def test_an_unreachable_database_is_reported_without_its_password() -> None:
    with reserved_port() as port:
        url = f"postgresql://ostiary:sesame@127.0.0.1:{port}/ostiary"
        result = run("migrate", DATABASE_URL=url)
    assert result.returncode == 1
    assert "The database is unavailable" in result.stderr
    assert "sesame" not in result.stderr + result.stdout
    assert "Traceback" not in result.stderr


def test_the_committed_openapi_document_matches_the_code() -> None:
    assert run("openapi", "--check").returncode == 0


def test_help_and_version_are_printed() -> None:
    assert "serve" in run("--help").stdout
    assert run("--version").stdout.startswith("ostiary, version ")


def test_the_package_can_be_run_as_a_module() -> None:
    command = [sys.executable, "-m", "service", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert result.stdout == run("--version").stdout


@pytest.mark.parametrize(("query", "expected"), [("", True), ("?sslmode=verify-full", False)])
def test_production_warns_of_a_database_that_anybody_may_pretend_to_be(
    query: str, *, expected: bool
) -> None:
    url = f"postgresql://u:p@database.invalid/x{query}"
    result = run("serve", OSTIARY_ENV="production", DATABASE_URL=url)
    assert result.returncode == 1
    assert ("database_tls_unverified" in result.stderr) is expected
