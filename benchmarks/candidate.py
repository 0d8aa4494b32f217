"""A checkout whose requests are measured: what each costs in CPU time."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path

import httpx
from cpu_time import CpuTimes, Part, hashing_at_normal_priority
from factor_log_ins import FactorUsers
from load import require_none, wrk
from servers import environment, serving

USERS = 100
PASSWORD = "correct horse battery staple"  # noqa: S105
LOG_IN_CONNECTIONS, GET_CONNECTIONS = 8, 64

# No request is refused, or times out on a busy machine. Each is set where the revision documents
# it: with an unknown setting the service does not start.
SETTINGS = {
    "OSTIARY_LOG_IN_FAILURES_PER_NAME": "0",
    "OSTIARY_LOG_IN_FAILURES_PER_ADDRESS": "0",
    "OSTIARY_LOG_INS_PER_NAME_AND_ADDRESS": "0",
    "OSTIARY_SIGN_UPS_PER_ADDRESS": "0",
    "OSTIARY_HASH_QUEUE_TIMEOUT": "2m",
    "OSTIARY_HASH_QUEUE_PATIENCE": "2m",
}

# Maximum time of a response, in seconds: longer than the time limits above.
TIMEOUT = 150

# The requests, and the parts that spend time on them.
LOADS = {
    "GET /healthz": [Part.SERVICE],
    "GET /me": [Part.SERVICE, Part.POSTGRESQL],
    "POST /login": [Part.HASHING, Part.SERVICE, Part.POSTGRESQL],
    "log-in by code": [Part.HASHING, Part.SERVICE, Part.POSTGRESQL],
    "log-in by passkey": [Part.SERVICE, Part.POSTGRESQL],
}
WITH_FACTORS = {"log-in by code", "log-in by passkey"}

# The CPU time of each part for a request, in microseconds.
Cost = dict[str, float]


@dataclass
class Candidate:
    """A checkout, with a database of its own and users whose tokens are in a file.

    ``costs`` has, for each load, what each round found.
    """

    name: str
    checkout: Path
    url: str
    tokens: Path
    costs: dict[str, list[Cost]] = field(default_factory=lambda: {load: [] for load in LOADS})

    def __post_init__(self) -> None:
        """Prepare the users with factors."""
        self._factor_users = FactorUsers(self.url, TIMEOUT)
        self.has_factors = (self.checkout / "service" / "auth" / "factors").is_dir()

    def can(self, load: str) -> bool:
        """Return whether the revision has what these requests need."""
        return self.has_factors or load not in WITH_FACTORS

    def set_up(self) -> None:
        """Migrate with the checkout's own code, and sign users up through its endpoint."""
        command = [sys.executable, "-m", "service", "migrate"]
        environ = environment(self.url, self.checkout)
        subprocess.run(command, cwd=self.checkout, env=environ, stdout=sys.stderr, check=True)
        names = (f"bench{n}" for n in range(USERS))
        with (
            self.serving() as (_, url),
            httpx.Client(base_url=url, timeout=TIMEOUT, trust_env=False) as client,
            ThreadPoolExecutor(LOG_IN_CONNECTIONS) as pool,
        ):
            answers = list(pool.map(partial(authenticate, client, "/signup", 201), names))
            if self.has_factors:
                self._factor_users.set_up(url)
        tokens = (answer.json()["session"]["token"] for answer in answers)
        self.tokens.write_text("".join(f"{token}\n" for token in tokens))

    @contextmanager
    def serving(self) -> Iterator[tuple[int, str]]:
        """Run the service with one worker and `SETTINGS`; yield its process id and address."""
        documents = [self.checkout / "README.md", self.checkout / "docs" / "settings.md"]
        documented = "".join(each.read_text("utf-8") for each in documents if each.exists())
        settings = {name: value for name, value in SETTINGS.items() if f"`{name}`" in documented}
        settings["OSTIARY_PORT"] = port = str(free_port())
        with (
            serving(self.url, None, checkout=self.checkout, **settings) as process,
            hashing_at_normal_priority(process),
        ):
            yield process, f"http://127.0.0.1:{port}"

    def take_turn(self, load: str, url: str, service: int, postmaster: int) -> Cost:
        """Send one kind of request for a second; return what each cost."""
        before = CpuTimes(service, postmaster)
        requests = self.send(load, url)
        # Work after the response is part of the cost.
        time.sleep(0.1)
        spent = CpuTimes(service, postmaster).since(before)
        cost: Cost = {part: spent[part] / requests * 1e6 for part in LOADS[load]}
        return {**cost, "all": sum(cost.values())} if len(cost) > 1 else cost

    def send(self, load: str, url: str) -> int:
        """Send requests for a second; return how many were answered."""
        if load == "log-in by code":
            return self._factor_users.log_in_by_code(url)
        if load == "log-in by passkey":
            return self._factor_users.log_in_by_passkey(url)
        method, path = load.split()
        return self.get(url + path) if method == "GET" else log_ins(url)

    def get(self, url: str) -> int:
        """Send GETs, each with the token of a user; return how many were answered."""
        fields = wrk("me.lua", url, GET_CONNECTIONS, 1, str(self.tokens), "bearer")
        requests, *_, refused, broken = fields
        require_none(refused + broken, "requests failed")
        return requests


def log_ins(url: str) -> int:
    """Log users in for a second; return how many.

    Without wrk, which ends before the responses to its last requests, whose hashes would count.
    """
    end = time.monotonic() + 1

    def log_in_until_the_end(first: int) -> int:
        numbers = range(first, USERS, LOG_IN_CONNECTIONS)
        for done, number in enumerate(cycle(numbers)):
            if time.monotonic() > end:
                return done
            authenticate(client, "/login", 200, f"bench{number}")
        raise AssertionError("a cycle came to its end")

    with (
        httpx.Client(base_url=url, timeout=TIMEOUT, trust_env=False) as client,
        ThreadPoolExecutor(LOG_IN_CONNECTIONS) as pool,
    ):
        return sum(pool.map(log_in_until_the_end, range(LOG_IN_CONNECTIONS)))


def authenticate(client: httpx.Client, path: str, status: int, name: str) -> httpx.Response:
    """Sign up or log in with a bearer token; end the program on any other status."""
    body = {"username": name, "password": PASSWORD, "transport": "bearer"}
    response = client.post(path, json=body)
    if response.status_code != status:
        raise SystemExit(f"POST {path} was answered by {response.status_code}: {response.text}")
    return response


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
