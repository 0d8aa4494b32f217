"""The servers under load: the service, of this checkout or another, and its PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from service.embedded_postgres import EmbeddedPostgres

__all__ = ["PORT", "ROOT", "EmbeddedPostgres", "environment", "execute", "postgresql", "serving"]

ROOT = Path(__file__).parent.parent
PORT = 8111


@contextmanager
def postgresql(directory: Path, options: Mapping[str, str]) -> Iterator[EmbeddedPostgres]:
    """Run PostgreSQL with its data in a directory below one that was made for it."""
    # For PostgreSQL's account, if this is root's.
    directory.parent.chmod(0o711)
    server = EmbeddedPostgres(directory, options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


async def execute(url: str, statement: str) -> None:
    """Execute one statement, outside of a transaction."""
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


def environment(url: str, checkout: Path = ROOT, **settings: str) -> dict[str, str]:
    """Return an environment for the code of a checkout, without settings of the caller's."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("OSTIARY_")}
    return {**inherited, "PYTHONPATH": str(checkout), "DATABASE_URL": url, **settings}


@contextmanager
def serving(
    url: str,
    program: list[str] | None = None,
    *,
    checkout: Path = ROOT,
    **settings: str,
) -> Iterator[int]:
    """Run the service, or a program that runs it in its way; yield the process id."""
    settings = {"OSTIARY_PORT": str(PORT), "OSTIARY_WORKERS": "1", **settings}
    with subprocess.Popen(
        [sys.executable, *(program or ["-m", "service"]), "serve"],
        cwd=checkout,
        env=environment(url, checkout, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        if process.stdout is None or not process.stdout.readline():
            raise SystemExit("The service did not start.")
        time.sleep(0.5)
        try:
            yield process.pid
        finally:
            process.terminate()
