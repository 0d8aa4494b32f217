"""A thread that starts the embedded server again when it has died."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from service.backoff import Backoff
from service.embedded_postgres.errors import EmbeddedPostgresFailed

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# How often the server is looked for, in seconds.
INTERVAL = 0.5


class Keeper:
    """Calls ``start`` when ``is_running`` says no, later each time; both may be called anywhere."""

    def __init__(self, is_running: Callable[[], bool], start: Callable[[], None]) -> None:
        self._is_running, self._start = is_running, start
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="postgresql-keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait until a start under way has ended."""
        self._stopped.set()
        self._thread.join()

    def _keep(self) -> None:
        backoff, started = Backoff(), time.monotonic()
        while not self._stopped.wait(INTERVAL):
            if self._is_running():
                continue
            delay = backoff.delay_after(time.monotonic() - started)
            log.error("embedded_postgresql_died", restarted_in=delay)
            if self._stopped.wait(delay):
                return
            started = time.monotonic()
            try:
                self._start()
            except (EmbeddedPostgresFailed, OSError) as error:
                log.error("embedded_postgresql_not_started", reason=str(error))  # noqa: TRY400
            else:
                log.warning("embedded_postgresql_started_again")
