"""The service for tests: real processes behind a real port."""

from __future__ import annotations

import gc
import multiprocessing
import os
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from multiprocessing.connection import wait
from pathlib import Path

import httpx
import psutil

from service.app import create_app
from service.auth.hashing.program import end_with
from service.auth.passwords import common_passwords
from service.server import supervisor
from service.settings import Settings
from service.settings.variables import read_settings

# Maximum time to wait for a condition, in seconds. No test comes near it on a quiet machine.
PATIENCE = 60

# A key of tests, of 32 zero bytes.
SECRET_KEYS = f"tests:{'A' * 43}="

# One worker with one hash process and the cheapest hashes; no time limit that a busy machine could
# exceed, and no queue that the threads of a test could fill.
FRUGAL = {
    "OSTIARY_SECRET_KEYS": SECRET_KEYS,
    "OSTIARY_WORKERS": "1",
    "OSTIARY_HASH_PROCESSES": "1",
    "OSTIARY_HASH_QUEUE_LENGTH": "100",
    "OSTIARY_HASH_KNOWN_QUEUE_LENGTH": "100",
    # Mails of other processes only: the service sends its own at once.
    "OSTIARY_MAIL_POLL_INTERVAL": "1h",
    "OSTIARY_ARGON2_TIME_COST": "1",
    "OSTIARY_ARGON2_MEMORY_KIB": "64",
    **{
        f"OSTIARY_{name}": f"{PATIENCE}s"
        for name in (
            *("REQUEST_TIMEOUT", "CLIENT_TIMEOUT", "HEAD_TIMEOUT"),
            *("HASH_QUEUE_TIMEOUT", "HASH_TIME_LIMIT", "DATABASE_POOL_TIMEOUT"),
            *("DATABASE_CONNECT_TIMEOUT", "DATABASE_STATEMENT_TIMEOUT"),
        )
    },
}

NO_LIMITS = {
    "OSTIARY_LOG_IN_FAILURES_PER_NAME": "0",
    "OSTIARY_LOG_IN_FAILURES_PER_ADDRESS": "0",
    "OSTIARY_LOG_IN_FAILURES_PER_DEVICE": "0",
    "OSTIARY_LOG_IN_FAILURES_TOTAL": "0",
    "OSTIARY_LOG_INS_PER_NAME_AND_ADDRESS": "0",
    "OSTIARY_SIGN_UPS_PER_ADDRESS": "0",
    "OSTIARY_MAIL_REQUESTS_PER_ADDRESS": "0",
}

# Clients use no TLS. By default each one loads all certificate authorities, which takes longer than
# a request.
UNUSED_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

# httpx closes the idle connections that exceed a limit, or have expired, and among them one that
# another thread has just been given: its request then waits until its time is over
# (encode/httpcore#1110, open with 1.0.9).
NO_CONNECTION_IS_CLOSED = httpx.Limits(
    max_connections=None, max_keepalive_connections=None, keepalive_expiry=None
)

USUAL_THRESHOLD = gc.get_threshold()

# Collecting garbage takes a tenth of the time of the tests, so they do it a hundred times less
# often; the services that they start do it as usual.
gc.set_threshold(100 * USUAL_THRESHOLD[0], *USUAL_THRESHOLD[1:])


class Service:
    """A running service."""

    def __init__(self, url: str, database_url: str, log: Path, process: psutil.Process) -> None:
        self.url = url
        self.database_url = database_url
        self.log = log
        self.process = process
        self.metrics_url = ""
        self._log_offset = 0

    def is_running(self) -> bool:
        """Return whether the service runs."""
        return is_running(self.process.pid)

    def client(self, **options: object) -> httpx.Client:
        """Return a client that sends its requests to the service."""
        return httpx.Client(
            base_url=self.url,
            timeout=PATIENCE,
            verify=UNUSED_TLS,
            limits=NO_CONNECTION_IS_CLOSED,
            **options,  # type: ignore[arg-type]
        )

    def begin_test(self) -> None:
        """Hide what was logged before."""
        self._log_offset = self.log.stat().st_size

    def logged(self) -> str:
        """Return what was logged during this test."""
        return self.log.read_bytes()[self._log_offset :].decode()


@cache
def load_everything() -> None:
    """Load once what each process that is forked from this one would have to load.

    Litestar imports Pydantic, if it is there, when the first application is created.
    """
    common_passwords()
    create_app(read_settings({}), "postgresql:///")


@contextmanager
def running(
    database_url: str, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """Run the service on a free port, in a process forked from this one, which has it loaded."""
    load_everything()
    with reserved_port() as port:
        settings = read_settings(
            {
                "DATABASE_URL": database_url,
                "OSTIARY_PORT": str(port),
                **FRUGAL,
                # Mails are written there, without an SMTP server.
                "OSTIARY_DATA_DIR": str(log.with_suffix(".data")),
                **(environment or {}),
            }
        )
        announcements, announcer = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("fork").Process(
            target=_serve,
            args=(os.getpid(), settings, database_url, log, lambda: announcer.send("listening")),
        )
        process.start()
        announcer.close()
        supervisor_process = psutil.Process(process.pid)
        try:
            wait([announcements, process.sentinel], timeout=PATIENCE)
            assert announcements.poll(), f"the service did not start: {log.read_text()}"
            yield Service(f"http://127.0.0.1:{port}", database_url, log, supervisor_process)
        finally:
            announcements.close()
            family = family_of(supervisor_process)
            process.terminate()
            process.join(PATIENCE)
            left = psutil.wait_procs(family, timeout=PATIENCE)[1]
            for each in left:
                each.kill()
            assert not left, f"left behind: {left}"


def wait_for(condition: Callable[[], object], description: str) -> None:
    """Wait until ``condition`` is true, and fail if it never is."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not true after {PATIENCE} seconds: {description}"
        time.sleep(0.01)


def wait_until_measured(service: Service) -> None:
    """Wait until a service has measured its verify times. It must log at debug level."""
    measured = "verify_times_measured"
    wait_for(lambda: measured in service.log.read_text(), f"{measured} in {service.log}")


def is_running(pid: int) -> bool:
    """Return whether a process runs; a zombie has ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def family_of(process: psutil.Process) -> list[psutil.Process]:
    """Return a process and its descendants; none if it has ended."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _serve(
    parent: int, settings: Settings, database_url: str, log: Path, on_listening: Callable[[], None]
) -> None:
    # xdist kills the processes of an interrupted run that take long to end.
    end_with(parent)
    gc.set_threshold(*USUAL_THRESHOLD)
    with log.open("a", buffering=1) as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        sys.stdout = sys.stderr = output
        supervisor.serve(settings, database_url, on_listening, lambda _: None)


@contextmanager
def reserved_port() -> Iterator[int]:
    """Reserve a free port for a program that is started in the body of the context.

    The kernel assigns a port that no other socket is bound to. A second program can bind it only if
    both set ``SO_REUSEADDR`` or ``SO_REUSEPORT``, and is the only one that listens.
    """
    with socket.socket() as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reservation.bind(("127.0.0.1", 0))
        yield int(reservation.getsockname()[1])
