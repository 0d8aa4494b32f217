"""Clients at work while a fault comes and goes, and what they saw of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from time import monotonic
from typing import TypeAlias

import httpx

from tests.faults.clients import Client
from tests.faults.requests import Requests
from tests.faults.rows import Row
from tests.services import wait_for

# How many requests of each client must have succeeded one after the other.
WARM, RECOVERED = 5, 15


class Load:
    """Clients that send requests to one or several addresses of the service."""

    def __init__(self, urls: Iterable[str], clients: int) -> None:
        urls = list(urls)
        self._urls = urls
        self.clients = [Client(urls[number % len(urls)], number) for number in range(clients)]
        self._over: float | None = None

    def start(self) -> None:
        """Start the clients."""
        for client in self.clients:
            client.start()

    def wait_until_at_work(self) -> None:
        """Wait until each client has work behind it."""
        self._wait_for_successes(WARM)

    def go_on(self, seconds: float) -> None:
        """Let the fault last so long under load."""
        time.sleep(seconds)

    def fault_is_over(self) -> None:
        """From now on the service is to recover."""
        self._over = monotonic()

    def wait_until_recovered(self) -> None:
        """Wait until all requests have succeeded for a while. The fault is over, if not before."""
        if self._over is None:
            self.fault_is_over()
        for client in self.clients:
            client.successes = 0
        self._wait_for_successes(RECOVERED)
        wait_for(self._is_ready, "all instances are ready")

    def stop(self) -> None:
        """Stop the clients."""
        for client in self.clients:
            client.stop()

    def failures(self, method: str | None = None) -> dict[str, int]:
        """Return how often requests failed, all or those with a method, by outcome."""
        return dict(
            Counter(
                answer.outcome
                for client in self.clients
                for answer in client.answers
                if answer.has_failed and method in {None, answer.method}
            )
        )

    def row(self, fault: str) -> Row:
        """Check all that was acknowledged, and return the figures of this fault."""
        over = self._over or monotonic()
        answers = [answer for client in self.clients for answer in client.answers]
        failed = [answer for answer in answers if answer.has_failed]
        return Row(
            fault=fault,
            requests=len(answers),
            failures=dict(Counter(answer.outcome for answer in failed)),
            acknowledged=sum(answer.acknowledges_write for answer in answers),
            lost=self._lost(),
            longest_wait=max(answer.ended - answer.began for answer in answers),
            recovered_after=max([0.0, *(answer.ended - over for answer in failed)]),
        )

    def _is_ready(self) -> bool:
        return all(httpx.get(f"{url}/readyz").status_code == 200 for url in self._urls)

    def _lost(self) -> list[str]:
        requests = Requests(self._urls[0])
        lost = []
        for client in self.clients:
            lost += client.refused
            for account in client.accounts:
                failed = [each.outcome for each in account.check(requests) if each.has_failed]
                lost += account.lost + [f"{account.username}: {each}" for each in failed]
        requests.close()
        return lost

    def _wait_for_successes(self, number: int) -> None:
        wait_for(
            lambda: all(client.successes >= number for client in self.clients),
            f"{number} requests of each client have succeeded in a row",
        )


# What the fixture `under_load` is.
UnderLoad: TypeAlias = Callable[..., AbstractContextManager[Load]]
