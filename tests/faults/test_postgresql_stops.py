"""Processes of PostgreSQL hang: they hold their connections and answer nothing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from service.storage.session_lookups import FIND_MANY, FIND_ONE
from tests.databases import fetch_value
from tests.faults.load import UnderLoad
from tests.faults.servers import OwnServer
from tests.faults.serving import serving

# Longer than a request may take, in seconds.
LONG = 6.0

# PostgreSQL shows the first 1,023 bytes of a query (`track_activity_query_size`).
BACKEND = """
SELECT pid FROM pg_stat_activity
WHERE application_name = 'ostiary' AND datname = 'ostiary'
  AND (query IN (left($1, 1023), left($2, 1023))) = $3
LIMIT 1"""


@contextmanager
def stopped(*processes: psutil.Process) -> Iterator[None]:
    """Stop processes by SIGSTOP, and let them continue in the end."""
    try:
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("looks_up", [True, False], ids=["look-up", "pool"])
def test_a_backend_hangs(
    server: OwnServer, under_load: UnderLoad, tmp_path: Path, *, looks_up: bool
) -> None:
    name = "look-ups of one worker" if looks_up else "the pool"
    with (
        serving(server.url, tmp_path / "service.log") as service,
        under_load(f"backend of {name} stopped (SIGSTOP) for {LONG} s", service.url) as load,
    ):
        backend = fetch_value(server.admin_url, BACKEND, FIND_ONE, FIND_MANY, looks_up)
        with stopped(psutil.Process(backend)):
            load.go_on(LONG)
        load.fault_is_over()


def test_the_whole_server_hangs(server: OwnServer, under_load: UnderLoad, tmp_path: Path) -> None:
    with (
        serving(server.url, tmp_path / "service.log") as service,
        under_load(f"all of PostgreSQL stopped (SIGSTOP) for {LONG} s", service.url) as load,
    ):
        with stopped(*server.processes()):
            load.go_on(LONG)
        load.fault_is_over()
