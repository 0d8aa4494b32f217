"""Run the command ``ostiary`` as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import pytest

from service.cli.main import main
from tests.services import FRUGAL, PATIENCE

OSTIARY = [sys.executable, "-m", "service"]
REPOSITORY = Path(__file__).parents[2]


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OSTIARY_")}
    kept.pop("DATABASE_URL", None)
    return {**kept, **FRUGAL, **variables}


def run(*arguments: str, typed: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process forked from this one, which has it loaded."""
    with ExitStack() as files:
        stdin, stdout, stderr = (files.enter_context(TemporaryFile("w+")) for _ in range(3))
        stdin.write(typed)
        stdin.seek(0)
        process = get_context("fork").Process(
            target=_run, args=(arguments, environment(**variables), (stdin, stdout, stderr))
        )
        process.start()
        process.join(PATIENCE)
        if process.exitcode is None:
            process.kill()
            process.join()
            pytest.fail(f"the command did not end: {arguments}")
        outputs = []
        for file in (stdout, stderr):
            file.seek(0)
            outputs.append(file.read())
    return subprocess.CompletedProcess(arguments, process.exitcode, *outputs)


def _run(arguments: tuple[str, ...], variables: dict[str, str], files: tuple[IO[str], ...]) -> None:
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(REPOSITORY)
    for number, file in enumerate(files):
        os.dup2(file.fileno(), number)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, closefd=False)  # noqa: SIM115
        for number, mode in enumerate(("r", "w", "w"))
    )
    try:
        main(arguments, prog_name="ostiary")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
