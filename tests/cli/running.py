"""Run the command ``ostiary`` as a user does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from service.cli.main import main
from tests.services import FRUGAL, PATIENCE, load_everything

OSTIARY = [sys.executable, "-m", "service"]
REPOSITORY = Path(__file__).parents[2]


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OSTIARY_")}
    kept.pop("DATABASE_URL", None)
    return {**kept, **FRUGAL, **variables}


class Command:
    """A command that runs in a process forked from this one, which has it loaded."""

    def __init__(
        self,
        arguments: Sequence[str],
        variables: Mapping[str, str],
        *,
        stdin: int,
        stdout: int,
        stderr: int,
    ) -> None:
        load_everything()
        self._process = get_context("fork").Process(
            target=_run, args=(arguments, variables, (stdin, stdout, stderr))
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def is_running(self) -> bool:
        return self._process.is_alive()

    def send_signal(self, number: int) -> None:
        if self._process.is_alive():
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> int:
        """Return the exit code; fail the test if the command does not end."""
        self._process.join(PATIENCE)
        if self._process.exitcode is None:
            self.kill()
            self._process.join()
            pytest.fail("the command did not end")
        return self._process.exitcode


def run(*arguments: str, typed: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, and return its exit code and what it printed."""
    with ExitStack() as files:
        stdin, stdout, stderr = (files.enter_context(TemporaryFile("w+")) for _ in range(3))
        stdin.write(typed)
        stdin.seek(0)
        command = Command(
            arguments,
            environment(**variables),
            stdin=stdin.fileno(),
            stdout=stdout.fileno(),
            stderr=stderr.fileno(),
        )
        exit_code = command.wait()
        outputs = []
        for file in (stdout, stderr):
            file.seek(0)
            outputs.append(file.read())
    return subprocess.CompletedProcess(arguments, exit_code, *outputs)


def _run(
    arguments: Sequence[str], variables: Mapping[str, str], files: tuple[int, int, int]
) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(REPOSITORY)
    for number, file in enumerate(files):
        os.dup2(file, number)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, closefd=False)  # noqa: SIM115
        for number, mode in enumerate(("r", "w", "w"))
    )
    try:
        main(list(arguments), prog_name="ostiary")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
