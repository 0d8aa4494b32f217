"""The service on a Unix socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from tests.cli.running import run
from tests.databases import locked, wait_for_lock_waiters
from tests.factories import sign_up
from tests.services import PATIENCE, UNUSED_TLS, running, wait_for


@pytest.fixture
def path() -> Iterator[Path]:
    with TemporaryDirectory(prefix="ostiary-tests-", dir="/tmp") as directory:
        yield Path(directory) / "ostiary.sock"


def client_on(path: Path) -> httpx.Client:
    transport = httpx.HTTPTransport(uds=str(path), verify=UNUSED_TLS)
    return httpx.Client(transport=transport, base_url="http://localhost", timeout=PATIENCE)


def test_the_service_listens_on_a_unix_socket(
    path: Path, database_url: str, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as left_by_a_killed_service:
        left_by_a_killed_service.bind(str(path))
    environment = {"OSTIARY_HOST": f"unix:{path}", "OSTIARY_WORKERS": "2"}
    log = tmp_path / "service.log"
    with running(database_url, log, environment), client_on(path) as client:
        assert path.stat().st_mode & 0o777 == 0o660
        assert sign_up(client, "Bobby").status_code == 201
        client.cookies.clear()
        client.headers["X-Forwarded-For"] = "192.0.2.7"
        assert sign_up(client).status_code == 201
        (session,) = client.get("/sessions").json()["sessions"]
        assert session["address"] == "192.0.2.7"
        second = run("serve", DATABASE_URL=database_url, OSTIARY_HOST=f"unix:{path}")
        assert second.returncode == 1
        assert second.stderr == f"Cannot listen on unix:{path}: Address already in use.\n"
    assert not path.exists()


def test_a_service_that_stops_refuses_connections_at_once(
    path: Path, database_url: str, tmp_path: Path
) -> None:
    environment = {"OSTIARY_HOST": f"unix:{path}"}
    with (
        running(database_url, tmp_path / "service.log", environment) as service,
        client_on(path) as client,
        ThreadPoolExecutor() as pool,
    ):
        sign_up(client)
        with locked(database_url, "session"):
            answer = pool.submit(client.get, "/me")
            wait_for_lock_waiters(database_url)
            service.process.terminate()
            wait_for(lambda: not path.exists(), "nobody can connect")
            assert not answer.done()
        assert answer.result(PATIENCE).status_code == 200


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("/proc/none.sock", "No such file or directory"),
        ("/etc/hostname", "File exists, and is no socket"),
        ("/proc/" + "x" * 120, "AF_UNIX path too long"),
    ],
)
def test_a_place_that_no_socket_can_be_made_at_is_told(
    database_url: str, place: str, reason: str
) -> None:
    result = run("serve", DATABASE_URL=database_url, OSTIARY_HOST=f"unix:{place}")
    assert result.returncode == 1
    assert result.stderr == f"Cannot listen on unix:{place}: {reason}.\n"
