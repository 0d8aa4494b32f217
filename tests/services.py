"""The service for tests: real processes behind a real port."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx
import psutil

from service import server
from service.settings import Settings, read_settings

# Seconds; more where a test that fails for want of time is worse than one that takes long.
PATIENCE = int(os.environ.get("TEST_PATIENCE", "10"))

# One worker, and hashes that are Argon2id and nothing to wait for, but on a machine that is busy.
FRUGAL = {
    "OSTIARY_WORKERS": "1",
    "OSTIARY_ARGON2_TIME_COST": "1",
    "OSTIARY_ARGON2_MEMORY_KIB": "64",
    "OSTIARY_HASH_QUEUE_PATIENCE": f"{PATIENCE}s",
}

# Guess, and sign up, as often as you like.
NO_LIMITS = {
    "OSTIARY_LOG_IN_FAILURES_PER_NAME": "0",
    "OSTIARY_LOG_IN_FAILURES_PER_ADDRESS": "0",
    "OSTIARY_SIGN_UPS_PER_ADDRESS": "0",
}


class Service:
    """A running service: where it listens, and what it logs."""

    def __init__(self, url: str, database_url: str, log: Path, pid: int) -> None:
        self.url = url
        self.database_url = database_url
        self.log = log
        self.pid = pid

    def client(self, **options: object) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=PATIENCE, **options)  # type: ignore[arg-type]


@contextmanager
def running(
    database_url: str, log: Path, environment: dict[str, str] | None = None
) -> Iterator[Service]:
    """Run the service on a free port. It is forked off the tests, which have it loaded already."""
    settings = read_settings(
        {
            "DATABASE_URL": database_url,
            "OSTIARY_PORT": str(free_port()),
            **FRUGAL,
            **(environment or {}),
        }
    )
    process = multiprocessing.get_context("fork").Process(
        target=_serve, args=(settings, database_url, log)
    )
    process.start()
    assert process.pid is not None
    family = psutil.Process(process.pid)
    try:
        wait_until_answers(settings.url, process)
        yield Service(settings.url, database_url, log, process.pid)
    finally:
        everybody = [family, *family.children(recursive=True)] if family.is_running() else []
        process.terminate()
        process.join(PATIENCE)
        left = psutil.wait_procs(everybody, timeout=PATIENCE)[1]
        assert not left, f"left behind: {left}"


def _serve(settings: Settings, database_url: str, log: Path) -> None:
    with log.open("a", buffering=1) as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        sys.stdout = sys.stderr = output
        server.serve(settings, database_url, lambda: None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_answers(url: str, process: BaseProcess) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            httpx.get(f"{url}/healthz")
        except httpx.TransportError:
            if time.monotonic() > deadline or not process.is_alive():
                raise
            time.sleep(0.01)
        else:
            return
