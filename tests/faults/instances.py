"""``ostiary serve`` as a program, on a port that it keeps: it may end and start again."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from select import select
from typing import TypeAlias

import psutil

from tests.cli.running import OSTIARY, REPOSITORY
from tests.cli.running import environment as environment_of_command
from tests.faults.serving import environment
from tests.services import PATIENCE, family_of


class Instance:
    """An instance of the service; ``before`` is a command that runs it, such as ``prlimit``."""

    def __init__(
        self, database_url: str, port: int, log: Path, before: Sequence[str] = (), **settings: str
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        self.log.touch()
        self._command = [*before, *OSTIARY, "serve"]
        variables = {"OSTIARY_PORT": str(port), **settings}
        self._environment = environment_of_command(**environment(database_url, **variables))
        self._process: subprocess.Popen[str] | None = None
        # Those that a supervisor which was killed may have left behind.
        self._orphans: list[psutil.Process] = []

    def start(self) -> None:
        """Start it. It listens when this returns."""
        self.begin_to_start()
        process = self._running()
        assert process.stdout is not None
        readable, _, _ = select([process.stdout], [], [], PATIENCE)
        # Nothing, if it ended before it listened.
        line = process.stdout.readline() if readable else ""
        assert line, f"the service did not start: {self.log.read_text()}"

    def begin_to_start(self) -> None:
        """Start it, without waiting until it listens."""
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, and check that it ends well and leaves no process behind."""
        family = self.family()
        self._running().send_signal(with_signal)
        assert self.wait() == 0, self.log.read_text()
        require_ended(family)

    def kill(self) -> None:
        """Kill the supervisor, and nothing else."""
        self._orphans += self.family()
        self._running().kill()
        self.wait()

    def wait(self) -> int:
        """Wait until the supervisor has ended; return its exit code."""
        process, self._process = self._running(), None
        with process:
            return process.wait(PATIENCE)

    def clean_up(self) -> None:
        """End what a test that failed has left, and the service itself."""
        left = self._orphans
        if self._process is not None:
            left = [*left, *self.family()]
            # It does not drain after this one.
            self._process.send_signal(signal.SIGINT)
        for each in psutil.wait_procs(left, timeout=PATIENCE if self._process else 0)[1]:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        if self._process is not None:
            self.wait()

    def family(self) -> list[psutil.Process]:
        """Return all its processes: the supervisor, the workers and their hash processes."""
        return family_of(psutil.Process(self._running().pid))

    def workers(self) -> list[psutil.Process]:
        """Return the workers that run, the oldest first."""
        workers = psutil.Process(self._running().pid).children()
        return sorted(workers, key=lambda each: each.create_time())

    def hash_processes(self) -> list[psutil.Process]:
        """Return the hash processes that run."""
        found: list[psutil.Process] = []
        for worker in self.workers():
            with suppress(psutil.NoSuchProcess):
                found += worker.children()
        return found

    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process


def require_ended(processes: Sequence[psutil.Process]) -> None:
    """Check that processes end, soon and by themselves."""
    left = psutil.wait_procs(processes, timeout=PATIENCE)[1]
    assert not left, f"left behind: {left}"


# What the fixture `new_instance` is.
NewInstance: TypeAlias = Callable[..., Instance]
