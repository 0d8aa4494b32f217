"""The file system of PostgreSQL's data is full: it is a small one in memory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg
import pytest

from tests.databases import execute, searchable_directory
from tests.faults.load import UnderLoad
from tests.faults.servers import OwnServer
from tests.faults.serving import serving
from tests.services import wait_for

SIZE = "200m"


@pytest.fixture
def small_file_system() -> Iterator[Path]:
    """Mount a file system that is soon full; only root can."""
    with searchable_directory() as parent:
        directory = parent / "small"
        directory.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=711", "tmpfs", str(directory)]
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            pytest.skip(f"no file system can be mounted: {mounted.stderr.strip()}")
        try:
            yield directory
        finally:
            # The guardian of the server ends a moment after it.
            wait_for(lambda: unmounts(directory), f"{directory} is not in use")


def unmounts(directory: Path) -> bool:
    command = ["umount", str(directory)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def server(small_file_system: Path, initialised_directory: Path) -> Iterator[OwnServer]:
    directory = small_file_system / "data"
    subprocess.run(["cp", "--archive", initialised_directory, directory], check=True)
    server = OwnServer(directory)
    server.start()
    yield server
    server.stop()


@contextmanager
def full(directory: Path) -> Iterator[None]:
    """Fill a file system to its last byte."""
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()


def test_the_disk_of_the_database_is_full(
    server: OwnServer, small_file_system: Path, under_load: UnderLoad, tmp_path: Path
) -> None:
    with (
        serving(server.url, tmp_path / "service.log") as service,
        under_load("disk of PostgreSQL full for 3 s", service.url) as load,
    ):
        with full(small_file_system):
            load.go_on(3)
        load.fault_is_over()
    assert load.failures("POST"), "the disk was not full"
    assert load.failures("GET") == {}


def test_there_is_no_room_for_the_write_ahead_log_either(
    server: OwnServer, small_file_system: Path, under_load: UnderLoad, tmp_path: Path
) -> None:
    """Then PostgreSQL ends, and must be started again when there is room."""
    with (
        serving(server.url, tmp_path / "service.log") as service,
        under_load("disk full, PostgreSQL dies of it", service.url) as load,
    ):
        with full(small_file_system):
            with suppress(asyncpg.PostgresError, OSError):
                for _ in range(os.cpu_count() or 1):
                    execute(server.admin_url, "SELECT pg_switch_wal()")
            load.go_on(3)
            assert not server.embedded._is_running()
        server.start_again()
        load.fault_is_over()
