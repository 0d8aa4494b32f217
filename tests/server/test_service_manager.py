"""What systemd is told, by the protocol of sd_notify(3)."""

from __future__ import annotations

import select
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest

from service.server.worker import create_worker_app
from tests.cli.test_serve import answers, started
from tests.databases import servers_in
from tests.factories import sign_up
from tests.services import PATIENCE, UNUSED_TLS, reserved_port, wait_for

VARIABLE = "NOTIFY_SOCKET"


@pytest.fixture
def directory() -> Iterator[Path]:
    """Return a directory with a short path: those of Unix sockets have 108 bytes."""
    with TemporaryDirectory(prefix="ostiary-tests-", dir="/tmp") as directory:
        yield Path(directory)


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, directory: Path) -> str:
    return str(directory / "notify") if request.param == "path" else f"@ostiary-{uuid4()}"


@pytest.fixture
def manager(address: str) -> Iterator[socket.socket]:
    """Return the socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiving:
        receiving.bind(address.replace("@", "\0"))
        receiving.settimeout(PATIENCE)
        yield receiving


def told(manager: socket.socket) -> dict[str, str]:
    """Return the next thing that a service manager is told."""
    lines = manager.recv(4096).decode().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_systemd_is_told_of_the_start_and_the_stop(
    address: str, manager: socket.socket, database_url: str
) -> None:
    with (
        reserved_port() as port,
        started(
            DATABASE_URL=database_url,
            OSTIARY_PORT=str(port),
            OSTIARY_DRAIN_PERIOD="1h",
            NOTIFY_SOCKET=address,
        ) as (process, _),
    ):
        url = f"http://localhost:{port}"
        assert told(manager) == {"READY": "1", "STATUS": f"Serving {url}"}
        assert httpx.get(f"{url}/healthz", verify=UNUSED_TLS).status_code == 200
        process.terminate()
        assert told(manager) == {
            "STOPPING": "1",
            "STATUS": "Draining for 3600 s",
            "EXTEND_TIMEOUT_USEC": "3615000000",
        }
        process.terminate()
        assert process.wait() == 0


def test_systemd_is_told_of_a_stop_without_draining(
    address: str, manager: socket.socket, database_url: str
) -> None:
    with (
        reserved_port() as port,
        started(DATABASE_URL=database_url, OSTIARY_PORT=str(port), NOTIFY_SOCKET=address) as (
            process,
            _,
        ),
    ):
        assert told(manager)["READY"] == "1"
        process.send_signal(signal.SIGTERM)
        assert told(manager) == {
            "STOPPING": "1",
            "STATUS": "Stopping",
            "EXTEND_TIMEOUT_USEC": "15000000",
        }
        assert process.wait() == 0


def one_at_a_time(directory: Path, load: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that loads a first application, and others once there is ``go``."""

    def load_one(*arguments: Any) -> Any:
        try:
            (directory / "first").touch(exist_ok=False)
        except FileExistsError:
            wait_for((directory / "go").exists, "the others may go on")
        return load(*arguments)

    return load_one


def test_the_service_is_ready_when_all_workers_accept_connections(
    directory: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = one_at_a_time(directory, create_worker_app)
    monkeypatch.setattr("service.server.supervisor.create_worker_app", load)
    address = str(directory / "notify")
    with (
        reserved_port() as port,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", verify=UNUSED_TLS) as client,
    ):
        manager.bind(address)
        manager.settimeout(PATIENCE)
        variables = {"DATABASE_URL": database_url, VARIABLE: address}
        with started(None, OSTIARY_PORT=str(port), OSTIARY_WORKERS="2", **variables) as (_, output):
            wait_for(lambda: answers(client), "a worker answers")
            for _ in range(100):
                assert client.get("/healthz").status_code == 200
            assert select.select([manager], [], [], 0)[0] == []
            (directory / "go").touch()
            assert told(manager)["READY"] == "1"
            assert "listens on" in output.readline()


def test_other_processes_of_the_service_do_not_learn_where_systemd_listens(
    address: str, manager: socket.socket, used_directory: Path
) -> None:
    with (
        reserved_port() as port,
        started(
            OSTIARY_DATA_DIR=str(used_directory), OSTIARY_PORT=str(port), NOTIFY_SOCKET=address
        ) as (process, _),
    ):
        told(manager)
        with httpx.Client(base_url=f"http://localhost:{port}", verify=UNUSED_TLS) as client:
            sign_up(client)  # starts a hash process
        children = psutil.Process(process.pid).children(recursive=True)
        # /proc has the environment of a program when it was started.
        programs = [each for each in children if "hashing" in " ".join(each.cmdline())]
        programs += servers_in(used_directory)
        assert len(programs) > 1
        assert [each for each in programs if VARIABLE in each.environ()] == []


@pytest.mark.parametrize("address", ["/nowhere/notify"])
def test_a_service_manager_that_cannot_be_reached_is_a_warning(
    address: str, database_url: str, directory: Path
) -> None:
    with (
        (directory / "log").open("w") as log,
        reserved_port() as port,
        started(log, DATABASE_URL=database_url, OSTIARY_PORT=str(port), NOTIFY_SOCKET=address),
    ):
        wait_for(
            lambda: "service_manager_unreachable" in (directory / "log").read_text(), "it is logged"
        )
