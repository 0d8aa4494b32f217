"""Clients, each in a thread of its own, that live the lives of users."""

from __future__ import annotations

from random import Random
from threading import Event, Thread
from uuid import uuid4

from tests.faults.accounts import Account, new_password
from tests.faults.requests import Answer, Requests

# How long a client rests between two requests, in seconds.
PAUSE = 0.04

# How many requests a client sends for one user before it signs up as another.
REQUESTS_PER_ACCOUNT = 40


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
