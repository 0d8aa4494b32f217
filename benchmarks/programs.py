"""``make bench-programs``: CPU time of what other programs ask, beside that of `GET /me`.

All in turns of a second, on one service and one PostgreSQL.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

from candidate import GET_CONNECTIONS, Candidate
from cost import NO_MAINTENANCE, positive, process_of
from cpu_time import CpuTimes, Part
from load import require_none, require_wrk, wrk
from machine import machine
from servers import ROOT, environment, execute, postgresql

BASELINE = "GET /me"
PARTS = (Part.SERVICE, Part.POSTGRESQL)

Cost = Mapping[Part, float]


@dataclass(frozen=True)
class Load:
    """Requests of one kind: each with the token of a user, and with further headers.

    ``introspects`` is how a program sends it, as a form or as JSON, in place of the user.
    """

    name: str
    path: str
    transport: str = "cookie"
    headers: Mapping[str, str] = field(default_factory=dict)
    introspects: str | None = None

    def send(self, url: str, tokens: Path, service_token: str) -> int:
        """Send requests for a second; return how many were answered."""
        script, arguments = "me.lua", [self.transport]
        arguments += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.introspects is not None:
            script, arguments = "introspect.lua", [self.introspects, service_token]
        numbers = wrk(script, url + self.path, GET_CONNECTIONS, 1, str(tokens), *arguments)
        requests, *_, refused, broken = numbers
        require_none(refused + broken, f"requests to {self.path} failed")
        return requests


# As proxies ask: with what the recipes make them send.
FORWARDED = {
    "X-Forwarded-Method": "GET",
    "X-Forwarded-Host": "app.example.com",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-For": "192.0.2.1",
}

LOADS = (
    Load(BASELINE, "/me"),
    Load("GET /verify", "/verify", headers={"X-Forwarded-Method": "GET"}),
    Load("GET /verify, headers of a proxy", "/verify", headers=FORWARDED),
    Load("POST /introspect, form", "/introspect", introspects="form"),
    Load("POST /introspect, JSON", "/introspect", introspects="json"),
)


def measure(rounds: int, seconds: int) -> dict[str, list[Cost]]:
    """Return the cost of a request of each load in each round, in microseconds."""
    found: dict[str, list[Cost]] = {load.name: [] for load in LOADS}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with postgresql(directory / "data", NO_MAINTENANCE) as server:
            asyncio.run(execute(server.url(), "CREATE DATABASE programs"))
            candidate = Candidate("this", ROOT, server.url("programs"), directory / "tokens")
            candidate.set_up()
            asyncio.run(execute(candidate.url, "VACUUM (ANALYZE)"))
            token = service_token(candidate)
            for _ in range(rounds):
                with candidate.serving() as (service, url):
                    sends = [partial(each.send, url, candidate.tokens, token) for each in LOADS]
                    turns = take_turns(sends, service, process_of(server), seconds)
                for load, costs in turns.items():
                    found[load].append({p: median(cost[p] for cost in costs) for p in PARTS})
    return found


def take_turns(
    sends: Sequence[Callable[[], int]], service: int, postmaster: int, seconds: int
) -> dict[str, list[Cost]]:
    """Send each load for a second, ``seconds`` times, forwards and backwards in turn."""
    costs: dict[str, list[Cost]] = {load.name: [] for load in LOADS}
    for send in sends:
        send()
    named = list(zip(LOADS, sends, strict=True))
    for turn in range(seconds):
        for load, send in named if turn % 2 == 0 else reversed(named):
            before = CpuTimes(service, postmaster)
            requests = send()
            spent = CpuTimes(service, postmaster).since(before)
            costs[load.name].append({part: spent[part] / requests * 1e6 for part in PARTS})
    return costs


def service_token(candidate: Candidate) -> str:
    """Create a service token that introspects; return its text."""
    command = ["service-token", "create", "bench", "--scope", "introspect"]
    created = subprocess.run(
        [sys.executable, "-m", "service", *command],
        cwd=candidate.checkout,
        env=environment(candidate.url, candidate.checkout),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return created.stdout.splitlines()[0]


def table(found: Mapping[str, Sequence[Cost]]) -> str:
    """Return a Markdown table: medians of the rounds, and ratios of the service to `GET /me`."""
    head = ["CPU time per request, µs", *PARTS, "service : `GET /me`", "of the rounds"]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    baseline = [cost[Part.SERVICE] for cost in found[BASELINE]]
    for load, costs in found.items():
        pairs = zip(costs, baseline, strict=True)
        ratios = [cost[Part.SERVICE] / other for cost, other in pairs]
        shown = [f"{median(cost[part] for cost in costs):,.1f}" for part in PARTS]
        range_ = f"{min(ratios):.2f} to {max(ratios):.2f}"
        rows.append([f"`{load}`", *shown, f"{median(ratios):.2f}", range_])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rounds", type=positive, default=5, help="starts of the service (default: 5)"
    )
    parser.add_argument(
        "--seconds", type=positive, default=4, help="turns, of a second, in a round (default: 4)"
    )
    arguments = parser.parse_args()
    require_wrk()
    found = measure(arguments.rounds, arguments.seconds)
    print(f"{datetime.now(UTC).date().isoformat()}, {machine()}\n\n{table(found)}")


if __name__ == "__main__":
    main()
