"""``make bench-mail``: whether the time of a request for mail tells who exists.

Requests for known and unknown users are sent in random order, so that what the background does for
one falls on any other. To take turns would not do: after a known user there would be fewer others.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from statistics import median

import httpx
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from candidate import free_port
from load import require_none
from machine import machine
from servers import ROOT, environment, execute, postgresql, serving

PORT, SMTP_PORT = free_port(), free_port()
URL = f"http://127.0.0.1:{PORT}"
ROUNDS, REQUESTS, WARM_UP = 5, 200, 50
ACCEPTED = 202

# Each request comes from a network of its own, and each user is mailed once: no limit is met. The
# key is no secret: it is 32 zero bytes.
SETTINGS = {
    "OSTIARY_PORT": str(PORT),
    "OSTIARY_TRUSTED_PROXIES": "127.0.0.1",
    "OSTIARY_SECRET_KEYS": f"benchmark:{'A' * 43}=",
    "OSTIARY_SMTP_URL": f"smtp+plain://127.0.0.1:{SMTP_PORT}",
    "OSTIARY_MAIL_FROM": "Benchmark <no-reply@example.com>",
    "OSTIARY_RESET_URL": "https://app.example.com/reset#token={token}",
    "OSTIARY_UNDO_URL": "https://app.example.com/undo#token={token}",
}

# Of each number, a user with a name and a verified address, and one with a name only.
MAKE_USERS = """
WITH people AS (
    INSERT INTO "user" (id) SELECT gen_random_uuid() FROM generate_series(1, {number} * 2)
    RETURNING id
), numbered AS (SELECT id, row_number() OVER () AS n FROM people)
INSERT INTO key (provider, name, display_name, user_id, verified_at)
SELECT 'username', 'name' || n, 'name' || n, id, NULL FROM numbered
UNION ALL
SELECT 'email', 'known' || n || '@example.org', 'known' || n || '@example.org', id, now()
FROM numbered WHERE n <= {number}
"""

# The path, the field, and who is meant; the last one is unknown.
LOADS = {
    "/password-reset": (
        "identifier",
        {
            "an address": "known{n}@example.org",
            "a name with an address": "name{n}",
            "a name without one": "name{m}",
            "unknown": "nobody{n}@example.org",
        },
    ),
    "/signup/email": (
        "email",
        {"taken": "known{n}@example.org", "unknown": "nobody{n}@example.org"},
    ),
}

Medians = dict[str, dict[str, list[float]]]


@contextmanager
def smtp_server() -> Iterator[None]:
    """Run a server that takes all mails and throws them away."""
    controller = Controller(Sink(), hostname="127.0.0.1", port=SMTP_PORT)
    controller.start()
    try:
        yield
    finally:
        controller.stop()


class Requests:
    """Requests from a network each, one after the other."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._networks = count()

    def seconds(self, path: str, field: str, text: str) -> float:
        """Return how long a request takes."""
        network = next(self._networks)
        address = f"10.{network >> 16}.{network >> 8 & 255}.{network & 255}"
        begun = time.perf_counter()
        response = self._client.post(path, json={field: text}, headers={"X-Forwarded-For": address})
        taken = time.perf_counter() - begun
        require_none(response.status_code != ACCEPTED, f"requests ({response.text}) went wrong")
        return taken


def measure(requests: Requests, rounds: int, users: int) -> Medians:
    """Return the medians of each round, in seconds, by path and by who is meant."""
    medians: Medians = {path: {who: [] for who in LOADS[path][1]} for path in LOADS}
    for number in range(WARM_UP):
        for path, (field, _) in LOADS.items():
            requests.seconds(path, field, f"warm{number}@example.org")
    for first in range(1, rounds * REQUESTS, REQUESTS):
        for path, (field, people) in LOADS.items():
            found: dict[str, list[float]] = {who: [] for who in people}
            batch = [(who, n) for who in people for n in range(first, first + REQUESTS)]
            random.shuffle(batch)
            for who, n in batch:
                text = people[who].format(n=n, m=users + n)
                found[who].append(requests.seconds(path, field, text))
            for who, seconds in found.items():
                medians[path][who].append(median(seconds))
    return medians


def table(medians: Medians) -> str:
    """Return a Markdown table: medians of the rounds, and their ratios to those of unknown."""
    rows = [
        ["request", "median, ms", "ratio to unknown", "of the rounds"],
        ["---", *["---:"] * 3],
    ]
    for path, people in medians.items():
        for who, seconds in people.items():
            ratios = [one / other for one, other in zip(seconds, people["unknown"], strict=True)]
            rows.append([f"`{path}`, {who}", f"{median(seconds) * 1000:.2f}"])
            rows[-1] += [f"{median(ratios):.3f}", f"{min(ratios):.3f} to {max(ratios):.3f}"]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"(default: {ROUNDS})")
    rounds = parser.parse_args().rounds
    with (
        tempfile.TemporaryDirectory() as name,
        postgresql(Path(name) / "data", {}) as server,
        smtp_server(),
    ):
        url, users = server.url(), rounds * REQUESTS
        command = [sys.executable, "-m", "service", "migrate"]
        subprocess.run(command, env=environment(url), stdout=sys.stderr, check=True)
        asyncio.run(execute(url, MAKE_USERS.format(number=users)))
        asyncio.run(execute(url, "VACUUM (ANALYZE)"))
        with (
            serving(url, None, checkout=ROOT, **SETTINGS),
            httpx.Client(base_url=URL, timeout=15, trust_env=False) as client,
        ):
            medians = measure(Requests(client), rounds, users)
    today = datetime.now(UTC).date().isoformat()
    load = f"{rounds} rounds of {REQUESTS} requests of each kind, one after the other, one worker"
    print(f"{today}, {machine()}; {load}\n\n{table(medians)}")


if __name__ == "__main__":
    main()
