"""Clients that do all that clients do, right and wrong, each request from another address."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from ipaddress import IPv4Address
from random import Random
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

from tests.factories import PASSWORD, bearer
from tests.faults.requests import GIVEN_UP

# How long a client rests between two requests, in seconds.
PAUSE = 0.02

# How many requests a client sends on a connection.
REQUESTS_PER_CONNECTION = 100

# How many sessions a client keeps; it logs out of others.
MAX_SESSIONS = 20

LOG_IN = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Client(Thread):
    """One of the users, with a growing number of devices, and one who guesses and errs."""

    def __init__(self, url: str, number: int) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._connection = HTTPConnection(parts.hostname, parts.port, timeout=GIVEN_UP)
        self._random = Random(number)  # noqa: S311 - it makes no secret
        self._username = f"soaked{number}"
        self._stopping = Event()
        self._tokens: list[str] = []
        # How many requests came to what.
        self.outcomes: Counter[str] = Counter()

    def run(self) -> None:
        """Send requests until stopped."""
        steps = {
            self._me: 12,
            self._log_in: 2,
            self._log_out: 1,
            self._guess: 2,
            self._send_nonsense: 2,
            self._break_off: 1,
        }
        while not self._stopping.wait(PAUSE):
            if not self._tokens:
                self._sign_up_or_log_in()
            elif len(self._tokens) > MAX_SESSIONS:
                self._log_out()
            else:
                self._random.choices(list(steps), list(steps.values()))[0]()
            if self.outcomes.total() % REQUESTS_PER_CONNECTION == 0:
                self._connection.close()

    def stop(self) -> None:
        """Stop after the request under way."""
        self._stopping.set()
        self.join()
        self._connection.close()

    def _sign_up_or_log_in(self) -> None:
        if self._open("/signup") == "409":
            self._log_in()

    def _me(self) -> None:
        self._send("GET", "/me", token=self._random.choice(self._tokens))

    def _log_in(self) -> None:
        self._open("/login")

    def _log_out(self) -> None:
        token = self._tokens.pop(self._random.randrange(len(self._tokens)))
        self._send("POST", "/logout", token=token)

    def _guess(self) -> None:
        name = f"{self._username}{self._random.choice(['', 'x', self._random.randrange(10**6)])}"
        self._send("POST", "/login", {"username": name, "password": "not the password"})

    def _send_nonsense(self) -> None:
        path = self._random.choice(["/login", "/signup", "/me/password", "/nowhere"])
        body = {"username": "x" * self._random.randrange(2000), "odd": [self._random.random()]}
        self._send(self._random.choice(["POST", "PUT", "DELETE"]), path, body)

    def _break_off(self) -> None:
        """Send a whole request or half of one on a connection of its own, and close it."""
        other = HTTPConnection(self._connection.host, self._connection.port, timeout=GIVEN_UP)
        body = json.dumps({"username": self._username, "password": PASSWORD}).encode()
        sent = LOG_IN + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        with suppress(OSError):
            other.connect()
            other.sock.sendall(sent[: self._random.choice([40, len(sent) - 5, len(sent)])])
        other.close()
        self.outcomes["broken off"] += 1

    def _open(self, path: str) -> str:
        body = {"username": self._username, "password": PASSWORD, "transport": "bearer"}
        outcome, answer = self._send("POST", path, body)
        if "session" in answer:
            self._tokens.append(answer["session"]["token"])
        return outcome

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, token: str = ""
    ) -> tuple[str, dict[str, Any]]:
        address = IPv4Address(self._random.randrange(2**24, 2**31))
        headers = {"X-Forwarded-For": str(address), "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body)
        answer: dict[str, Any] = {}
        try:
            self._connection.request(
                method, path, content, headers | (bearer(token) if token else {})
            )
            response = self._connection.getresponse()
            received, outcome = response.read(), str(response.status)
            answer = json.loads(received) if received else {}
        except (OSError, HTTPException) as error:
            outcome = type(error).__name__
            self._connection.close()
        self.outcomes[outcome] += 1
        return outcome, answer
