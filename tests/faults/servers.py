"""A PostgreSQL server that a test may kill: nothing starts it again by itself."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path

import psutil

from service.embedded_postgres import EmbeddedPostgres
from service.embedded_postgres.account import PROGRAMS
from tests.databases import execute
from tests.services import PATIENCE

# What is acknowledged must survive the death of the server, though not that of the machine.
OPTIONS = {"fsync": "off", "max_connections": "60"}

NAME = "ostiary"


class OwnServer:
    """A server of one test, with an empty database."""

    def __init__(self, directory: Path, options: Mapping[str, str] | None = None) -> None:
        self.embedded = EmbeddedPostgres(directory, {**OPTIONS, **(options or {})})

    @property
    def url(self) -> str:
        """The URL of the database."""
        return self.embedded.url(NAME)

    @property
    def admin_url(self) -> str:
        """The URL of another database, which no fault concerns."""
        return self.embedded.url()

    def start(self) -> None:
        """Start the server, and make the database."""
        self.start_only()
        execute(self.admin_url, f"CREATE DATABASE {NAME}")

    def start_only(self) -> None:
        """Start the server. It accepts connections when this returns."""
        self.embedded.start()
        assert self.embedded._keeper is not None
        self.embedded._keeper.stop()

    def start_again(self) -> None:
        """Start the server after its death; it has recovered when this returns."""
        self.embedded._start_or_join()

    def copy(self, original: OwnServer, *options: str) -> None:
        """Copy the data of a running server, with options of `pg_basebackup`."""
        self.embedded._make_directories()
        self.embedded._run(
            *(str(PROGRAMS / "pg_basebackup"), "--dbname", original.admin_url),
            *("--pgdata", str(self.embedded._data), "--checkpoint", "fast", *options),
        )

    def stop(self) -> None:
        """Stop the server, if it runs."""
        self.embedded.stop()

    def processes(self) -> list[psutil.Process]:
        """Return the postmaster and all its processes."""
        postmaster = psutil.Process(self.embedded._server_id())
        return [postmaster, *postmaster.children(recursive=True)]

    def kill(self) -> None:
        """Kill the postmaster and all its processes at once."""
        processes = self.processes()
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        for process in processes:
            process.kill()
        assert psutil.wait_procs(processes, PATIENCE)[1] == []
