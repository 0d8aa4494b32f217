"""Workers that have died, and when each is to be replaced."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable

import structlog
from granian.server.mp import WorkerProcess

from service.backoff import Backoff

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class DeadWorkers:
    """The dead workers, by their index. Each death of one delays its replacement longer."""

    def __init__(self, workers: int) -> None:
        self._backoffs = [Backoff() for _ in range(workers)]
        self._due: dict[int, float] = {}

    def __contains__(self, index: int) -> bool:
        return index in self._due

    def find(self, workers: Iterable[WorkerProcess]) -> None:
        """Find those that have died since, and log each."""
        now = time.monotonic()
        for worker in workers:
            if worker.idx not in self._due and not worker.inner.is_alive():
                delay = self._backoffs[worker.idx].delay_after(now - worker.birth)
                self._due[worker.idx] = now + delay
                log.error(
                    "worker_died",
                    pid=worker.inner.pid,
                    reason=_reason(worker.inner.exitcode),
                    restarted_in=delay,
                )

    def take_due(self) -> list[int]:
        """Return those that are to be replaced now, and forget them."""
        due = [index for index, at in self._due.items() if at <= time.monotonic()]
        for index in due:
            del self._due[index]
        return due

    def next_due(self) -> float | None:
        """Return when the next one is to be replaced, on the monotonic clock; ``None``: none is."""
        return min(self._due.values(), default=None)


def _reason(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return f"signal {-exit_code}"
