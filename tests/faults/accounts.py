"""What the service has acknowledged to one user, and whether it still holds."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from uuid import uuid4

from tests.faults.requests import Answer, Requests


def new_password() -> str:
    return f"correct horse {uuid4().hex}"


class Account:
    """A user whose writes are remembered: the password, live sessions and those that ended.

    After a write that was not acknowledged either state is right, until it is known again.
    """

    def __init__(self, username: str, password: str, token: str) -> None:
        self.username = username
        # More than one if a change of the password was not acknowledged.
        self.passwords = [password]
        self.live = {token}
        self.ended: set[str] = set()
        # What was acknowledged and did not hold.
        self.lost: list[str] = []

    def take_step(self, requests: Requests, random: Random) -> Answer:
        """Send one request of the user's, and remember what it acknowledged."""
        steps = {self._me: 14, self._log_in: 2, self._log_out: 2, self._change_password: 1}
        step = random.choices(list(steps), list(steps.values()))[0]
        if not self.live:
            step = self._log_in
        return step(requests, random)

    def check(self, requests: Requests) -> Iterator[Answer]:
        """Ask whether all that was acknowledged holds; `lost` has what does not."""
        for token in sorted(self.live):
            answer = requests.send("GET", "/me", token=token)
            self._require(answer, 200, "a live session")
            yield answer
        for token in sorted(self.ended):
            answer = requests.send("GET", "/me", token=token)
            self._require(answer, 401, "a session that ended")
            yield answer
        for password in self.passwords:
            answer = requests.send("POST", "/login", self._log_in_body(password))
            yield answer
            if answer.status == 200:
                return
        self._require(answer, 200, "the password")

    def _me(self, requests: Requests, random: Random) -> Answer:
        if self.ended and random.random() < 0.2:
            answer = requests.send("GET", "/me", token=random.choice(sorted(self.ended)))
            self._require(answer, 401, "a session that ended")
            return answer
        answer = requests.send("GET", "/me", token=random.choice(sorted(self.live)))
        self._require(answer, 200, "a live session")
        return answer

    def _log_in(self, requests: Requests, random: Random) -> Answer:
        answer = requests.send("POST", "/login", self._log_in_body(self.passwords[0]))
        self._require(answer, 200, "the password")
        if answer.status == 200:
            self.live.add(answer.body["session"]["token"])
        return answer

    def _log_out(self, requests: Requests, random: Random) -> Answer:
        token = random.choice(sorted(self.live))
        answer = requests.send("POST", "/logout", token=token)
        self._require(answer, 204, "a live session")
        if answer.status == 204:
            self.ended.add(token)
        if answer.status == 204 or answer.may_have_changed:
            self.live.remove(token)
        return answer

    def _change_password(self, requests: Requests, random: Random) -> Answer:
        password = new_password()
        body = {"current_password": self.passwords[0], "new_password": password}
        answer = requests.send("PUT", "/me/password", body, token=random.choice(sorted(self.live)))
        self._require(answer, 200, "a live session and its password")
        if answer.status == 200:
            self.ended |= self.live
            self.live = {answer.body["session"]["token"]}
            self.passwords = [password]
        elif answer.may_have_changed:
            self.live = set()
            self.passwords.append(password)
        return answer

    @property
    def is_certain(self) -> bool:
        """Whether the password is known."""
        return len(self.passwords) == 1

    def _log_in_body(self, password: str) -> dict[str, str]:
        return {"username": self.username, "password": password, "transport": "bearer"}

    def _require(self, answer: Answer, status: int, what: str) -> None:
        """Note what was answered although something else was acknowledged before."""
        if not answer.has_failed and answer.status != status:
            self.lost.append(f"{self.username}: {answer.outcome} instead of {status} for {what}")
