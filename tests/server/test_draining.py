"""Draining: after SIGTERM the service goes on, so that load balancers leave before it stops."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from service.server.service_manager import ServiceManager
from service.server.worker import create_worker_app
from tests.cli.test_serve import Serving, serving, started
from tests.databases import locked, wait_for_lock_waiters
from tests.factories import cookie, sign_up, token_of
from tests.services import PATIENCE, reserved_port, wait_for

# Longer than any test waits.
FOREVER = "1h"


@contextmanager
def ready(database_url: str, **variables: str) -> Iterator[Serving]:
    """Start the service with two workers, and end it at once at the end of the body."""
    defaults = {"OSTIARY_DRAIN_PERIOD": FOREVER, "OSTIARY_WORKERS": "2"}
    with serving(
        Path("unused"), None, DATABASE_URL=database_url, **defaults | variables
    ) as service:
        try:
            yield service
        finally:
            service.process.send_signal(signal.SIGINT)


def drain(service: Serving) -> None:
    """Send SIGTERM, and wait until it has arrived."""
    service.process.terminate()
    wait_for(lambda: readiness(service).status_code == 503, "the service drains")


def readiness(service: Serving) -> httpx.Response:
    """Ask on a connection of its own: any worker may answer."""
    with service.client() as client:
        return client.get("/readyz")


def answers(service: Serving) -> bool:
    try:
        readiness(service)
    except httpx.TransportError:
        return False
    return True


def refuses_connections(service: Serving) -> bool:
    port = int(service.url.rsplit(":", 1)[1])
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
    except OSError:
        return True
    return False


def test_after_sigterm_no_worker_is_ready_and_all_else_is_served(database_url: str) -> None:
    with ready(database_url) as service:
        with service.client() as client:
            token = token_of(sign_up(client))
        assert readiness(service).status_code == 200
        drain(service)
        answers = [readiness(service) for _ in range(20)]
        assert {(each.status_code, each.json()["code"]) for each in answers} == {(503, "draining")}
        for path in ["/me", "/healthz"] * 10:
            with service.client() as client:
                assert client.get(path, headers=cookie(token)).status_code == 200
        with service.client() as client:
            assert sign_up(client, "Bobby").status_code == 201


def test_each_answer_of_a_service_that_drains_ends_its_connection(database_url: str) -> None:
    with ready(database_url) as service, service.client() as client:
        assert "connection" not in sign_up(client).headers
        drain(service)
        for path, status in {"/me": 200, "/readyz": 503, "/nothing": 404, "/docs": 200}.items():
            answer = client.get(path)
            assert (answer.status_code, answer.headers.get("connection")) == (status, "close")
        rejected = client.get("/me", headers={"Host": "elsewhere.example.com"})
        assert (rejected.status_code, rejected.headers.get("connection")) == (400, "close")


def test_a_connection_that_was_idle_is_used_once_more_and_closed(database_url: str) -> None:
    with ready(database_url) as service:
        port = int(service.url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
            connection.sendall(request)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
            drain(service)
            connection.sendall(request)
            received = b"".join(iter(lambda: connection.recv(4096), b""))
        assert received.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nconnection: close\r\n" in received


def test_a_request_in_progress_at_the_end_is_answered(database_url: str) -> None:
    with ready(database_url) as service, ThreadPoolExecutor() as pool, service.client() as client:
        token = token_of(sign_up(client))
        drain(service)
        with locked(database_url, "session"):
            answer = pool.submit(client.get, "/me", headers=cookie(token))
            wait_for_lock_waiters(database_url)
            service.process.terminate()
            wait_for(lambda: refuses_connections(service), "the workers accept no connection")
        assert answer.result(PATIENCE).status_code == 200
        assert service.process.wait() == 0


def test_the_service_ends_after_the_drain_period(database_url: str) -> None:
    with ready(database_url, OSTIARY_DRAIN_PERIOD="1s") as service:
        drain(service)
        assert service.process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_second_signal_ends_the_drain_period(database_url: str, number: signal.Signals) -> None:
    with ready(database_url) as service:
        drain(service)
        assert service.stop(number) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_terminal_stops_the_service_without_draining(
    database_url: str, number: signal.Signals
) -> None:
    with ready(database_url) as service:
        assert service.stop(number) == 0


def test_a_worker_that_dies_while_the_service_drains_is_replaced(database_url: str) -> None:
    with ready(database_url, OSTIARY_WORKERS="1") as service:
        drain(service)
        supervisor_process = psutil.Process(service.process.pid)
        (worker,) = supervisor_process.children()
        worker.kill()
        worker.wait(PATIENCE)
        wait_for(lambda: answers(service), "another worker answers")
        assert readiness(service).json()["code"] == "draining"
        with service.client() as client:
            assert client.get("/healthz").status_code == 200


def test_draining_is_logged(database_url: str, tmp_path: Path) -> None:
    with (
        (tmp_path / "log").open("w") as log,
        reserved_port() as port,
        started(
            log,
            DATABASE_URL=database_url,
            OSTIARY_PORT=str(port),
            OSTIARY_DRAIN_PERIOD=FOREVER,
            OSTIARY_LOG_FORMAT="json",
        ) as (process, output),
    ):
        assert "listens on" in output.readline()
        process.terminate()
        wait_for(lambda: '"draining"' in (tmp_path / "log").read_text(), "it is logged")
        assert '"seconds":3600' in (tmp_path / "log").read_text().replace(" ", "")


def after_it_was_told_to_stop(load: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that loads a worker's application once the worker has got SIGTERM."""

    def load_late(*arguments: Any) -> Any:
        deadline = time.monotonic() + PATIENCE
        while signal.SIGTERM not in signal.sigpending() and time.monotonic() < deadline:
            time.sleep(0.01)
        return load(*arguments)

    return load_late


def test_a_service_that_has_not_served_yet_does_not_drain(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = after_it_was_told_to_stop(create_worker_app)
    monkeypatch.setattr("service.server.supervisor.create_worker_app", late)
    with (
        reserved_port() as port,
        started(
            DATABASE_URL=database_url, OSTIARY_PORT=str(port), OSTIARY_DRAIN_PERIOD=FOREVER
        ) as (process, _),
    ):
        wait_for(psutil.Process(process.pid).children, "there is a worker")
        process.terminate()
        assert process.wait() == 0


def test_a_signal_that_another_thread_receives_stops_the_service(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main thread, which handles it, waits for the workers and is not interrupted."""

    def receive_signal(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(ServiceManager, "tell_ready", receive_signal)
    with (
        reserved_port() as port,
        started(DATABASE_URL=database_url, OSTIARY_PORT=str(port)) as (process, _),
    ):
        assert process.wait() == 0
