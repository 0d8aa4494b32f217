"""Services that tests share, which saves starting one for each test."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from tests.databases import TestServer, delete_all_rows
from tests.services import Service, running

# How many services keep running between tests, with an environment each.
MAX_IDLE = 6


class ServicePool:
    """Services on one database, one for each environment that is asked for.

    `begin_test` empties the database. After a failure, or the death of a service, it discards the
    database and all services instead: no test inherits what a failed one left behind.
    """

    def __init__(self, server: TestServer, logs: Path) -> None:
        self._server = server
        self._logs = logs
        self._numbers = count(1)
        self._failures = 0
        self._database = ExitStack()
        self._database_url: str | None = None
        self._running: dict[tuple[tuple[str, str], ...], tuple[Service, ExitStack]] = {}

    @property
    def database_url(self) -> str:
        """The URL of the database."""
        if self._database_url is None:
            self._database_url = self._database.enter_context(self._server.database())
        return self._database_url

    def begin_test(self, failures: int) -> None:
        """Prepare for the next test; ``failures`` counts the tests that have failed so far."""
        is_alive = all(service.is_running() for service, _ in self._running.values())
        if failures != self._failures or not is_alive:
            self.close()
            self._failures = failures
        elif self._database_url is not None:
            while len(self._running) > MAX_IDLE:
                self._stop(next(iter(self._running)))
            delete_all_rows(self._database_url)
            for service, _ in self._running.values():
                service.begin_test()

    def service(self, environment: Mapping[str, str] | None = None) -> Service:
        """Return the service with this environment; start it if necessary."""
        key = tuple(sorted((environment or {}).items()))
        # The dictionary is ordered from the least to the most recently used.
        found = self._running.pop(key, None) or self._start(dict(key))
        self._running[key] = found
        return found[0]

    def close(self) -> None:
        """Stop all services and drop the database."""
        try:
            for key in list(self._running):
                self._stop(key)
        finally:
            self._database.close()
            self._database_url = None

    def _start(self, environment: dict[str, str]) -> tuple[Service, ExitStack]:
        stack = ExitStack()
        log = self._logs / f"service-{next(self._numbers)}.log"
        return stack.enter_context(running(self.database_url, log, environment)), stack

    def _stop(self, key: tuple[tuple[str, str], ...]) -> None:
        _, stack = self._running.pop(key)
        stack.close()
