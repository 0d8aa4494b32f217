"""Services that tests share, which saves starting one for each test."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

from tests.databases import TestServer, delete_all_rows
from tests.services import Service, running

# How many services keep running between tests, with an environment each, and between modules.
MAX_IDLE = 6

# An environment, sorted.
Environment: TypeAlias = tuple[tuple[str, str], ...]


class IdleService(Struct, frozen=True):
    """A service whose module has ended; nothing else uses its database."""

    service: Service
    running: ExitStack
    database: ExitStack

    def stop(self) -> None:
        """Stop it, and drop the database."""
        with self.database:
            self.running.close()


class IdleServices:
    """Services for the modules that are yet to come: a new one takes ten times as long as a test.

    Each is alone on its database: those of a module before may not be there when another begins.
    """

    def __init__(self) -> None:
        self._idle: dict[Environment, IdleService] = {}

    def take(self, environment: Environment) -> IdleService | None:
        """Return a service with this environment, on an empty database, if there is one."""
        found = self._idle.pop(environment, None)
        if found is None:
            return None
        if not found.service.is_running():
            found.stop()
            return None
        delete_all_rows(found.service.database_url)
        found.service.begin_test()
        return found

    def keep(self, environment: Environment, idle: IdleService) -> None:
        """Keep a service; the one that has been idle for longest is stopped if they are too many.

        One with this environment may be there: a module that uses its database as well cannot take
        it.
        """
        for surplus in (self._idle.pop(environment, None), self._longest_idle()):
            if surplus is not None:
                surplus.stop()
        self._idle[environment] = idle

    def _longest_idle(self) -> IdleService | None:
        return self._idle.pop(next(iter(self._idle))) if len(self._idle) >= MAX_IDLE else None

    def close(self) -> None:
        """Stop all."""
        with ExitStack() as stack:
            for each in self._idle.values():
                stack.callback(each.stop)
            self._idle = {}


class ServicePool:
    """Services on one database, one for each environment that is asked for.

    `begin_test` empties the database. After a failure, or the death of a service, it discards the
    database and all services instead: no test inherits what a failed one left behind.
    """

    def __init__(self, server: TestServer, logs: Path, idle: IdleServices) -> None:
        self._server = server
        self._logs = logs
        self._idle = idle
        self._numbers = count(1)
        self._failures = 0
        self._database = ExitStack()
        self._database_url: str | None = None
        self._running: dict[Environment, tuple[Service, ExitStack]] = {}
        self._first: Environment | None = None

    @property
    def database_url(self) -> str:
        """The URL of the database."""
        if self._database_url is None:
            self._database_url = self._database.enter_context(self._server.database())
        return self._database_url

    def begin_test(self, failures: int) -> None:
        """Prepare for the next test; ``failures`` counts the tests that have failed so far."""
        if self._has_failed(failures):
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
        if self._database_url is None:
            self._begin_with(key)
        # The dictionary is ordered from the least to the most recently used.
        found = self._running.pop(key, None) or self._start(dict(key))
        self._running[key] = found
        return found[0]

    def end(self, failures: int) -> None:
        """Keep the service that was asked for first for later modules; stop all others.

        After a failure none is kept.
        """
        kept = None if self._first is None else self._running.get(self._first)
        if self._has_failed(failures) or self._first is None or kept is None:
            self.close()
            return
        del self._running[self._first]
        for key in list(self._running):
            self._stop(key)
        if not self._server.is_as_migrated(self.database_url):
            self._running[self._first] = kept
            self.close()
            return
        self._idle.keep(self._first, IdleService(*kept, self._database))

    def close(self) -> None:
        """Stop all services and drop the database."""
        try:
            for key in list(self._running):
                self._stop(key)
        finally:
            self._database.close()
            self._database_url = None

    def _has_failed(self, failures: int) -> bool:
        is_alive = all(service.is_running() for service, _ in self._running.values())
        return failures != self._failures or not is_alive

    def _begin_with(self, key: Environment) -> None:
        """Take an idle service with this environment, and its database, if there is one."""
        self._first = key
        if (idle := self._idle.take(key)) is not None:
            self._database, self._database_url = idle.database, idle.service.database_url
            self._running[key] = idle.service, idle.running

    def _start(self, environment: dict[str, str]) -> tuple[Service, ExitStack]:
        stack = ExitStack()
        log = self._logs / f"service-{next(self._numbers)}.log"
        return stack.enter_context(running(self.database_url, log, environment)), stack

    def _stop(self, key: Environment) -> None:
        _, stack = self._running.pop(key)
        stack.close()
