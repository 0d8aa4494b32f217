"""PgBouncer in transaction mode before a test's database."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from tests.databases import fetch, name_of, searchable_directory
from tests.services import PATIENCE, reserved_port, wait_for

CONFIGURATION = """
[databases]
* = host={socket} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 200
server_login_retry = 1
"""


class PgBouncer:
    """A PgBouncer that has three connections to the database at ``database_url``."""

    def __init__(self, database_url: str, port: int, directory: Path) -> None:
        self._program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
        if not Path(self._program).exists():
            pytest.fail("PgBouncer is not installed; on Debian: apt-get install pgbouncer")
        self._configuration = directory / "pgbouncer.ini"
        self._configuration.write_text(
            CONFIGURATION.format(socket=database_url.split("host=")[1], port=port)
        )
        # Like PostgreSQL it refuses to run as root.
        self._account = "pgserver" if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://postgres@127.0.0.1:{port}/{name_of(database_url)}"

    def start(self) -> None:
        """Start it, and wait until it passes queries on."""
        command = [self._program, "-q", str(self._configuration)]
        self._process = subprocess.Popen(command, user=self._account)
        wait_for(self._passes_queries, "PgBouncer answers")

    def kill(self) -> None:
        """End it at once, if it runs: the connections of clients are cut."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
            self._process = None

    def _passes_queries(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "PgBouncer ended"
        try:
            return bool(fetch(self.url, "SELECT 1"))
        except (OSError, asyncpg.PostgresError):
            return False


@contextmanager
def pgbouncer_before(database_url: str) -> Iterator[PgBouncer]:
    """Run a PgBouncer before a database."""
    with reserved_port() as port, searchable_directory() as directory:
        pgbouncer = PgBouncer(database_url, port, directory)
        try:
            pgbouncer.start()
            yield pgbouncer
        finally:
            pgbouncer.stop()
