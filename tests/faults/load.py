"""Clients at work while a fault comes and goes, and what they saw of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from random import Random
from threading import Event, Thread
from time import monotonic
from typing import TypeAlias
from uuid import uuid4

import httpx

from tests.faults.accounts import Account, new_password
from tests.faults.requests import Answer, Requests
from tests.faults.rows import Row
from tests.services import wait_for

# How long a client rests between two requests, in seconds.
PAUSE = 0.04

# How many requests a client sends for one user before it signs up as another.
REQUESTS_PER_ACCOUNT = 40

# How many requests of each client must have succeeded one after the other.
WARM, RECOVERED = 5, 15


class Client(Thread):
    """Lives one user's life after another: sign-up, log-in, `/me`, change of password, log-out."""

    def __init__(self, url: str, number: int) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self._requests = Requests(url)
        self._random = Random(number)  # noqa: S311 - it makes no secret
        self._stopping = Event()
        self.accounts: list[Account] = []
        # Sign-ups that were refused though nothing spoke against them.
        self.refused: list[str] = []
        # How many requests in a row have succeeded.
        self.successes = 0

    @property
    def answers(self) -> list[Answer]:
        return self._requests.answers

    def run(self) -> None:
        while not self._stopping.is_set():
            account = self._sign_up()
            for _ in range(REQUESTS_PER_ACCOUNT):
                if account is None or not account.is_certain or self._stopping.wait(PAUSE):
                    break
                self._count(account.take_step(self._requests, self._random))

    def stop(self) -> None:
        """Stop after the request under way."""
        self._stopping.set()
        self.join()
        self._requests.close()

    def _sign_up(self) -> Account | None:
        """Return a new user, if the service acknowledged it."""
        body = {"username": f"u{uuid4().hex[:20]}", "password": new_password()}
        answer = self._requests.send("POST", "/signup", {**body, "transport": "bearer"})
        self._count(answer)
        if answer.status != 201:
            if not answer.has_failed:
                self.refused.append(f"sign-up: {answer.outcome}")
            self._stopping.wait(PAUSE)
            return None
        token = answer.body["session"]["token"]
        self.accounts.append(Account(body["username"], body["password"], token))
        return self.accounts[-1]

    def _count(self, answer: Answer) -> None:
        self.successes = 0 if answer.has_failed else self.successes + 1


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

    def failures(self, method: str) -> dict[str, int]:
        """Return how often requests with a method failed, by outcome."""
        return dict(
            Counter(
                answer.outcome
                for client in self.clients
                for answer in client.answers
                if answer.has_failed and answer.method == method
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
