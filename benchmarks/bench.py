"""``make bench``: how fast the service is, as ratios within one run on one machine."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
import httpx
import psutil
from chart import bar_chart
from load import require_none, require_wrk, wrk
from machine import machine
from seeding import seed
from servers import PORT, ROOT, EmbeddedPostgres, execute, postgresql, serving

from service.auth.hashing.program import argon2_hasher
from service.auth.hashing.schemes import parse_password_hash
from service.settings.passwords import Argon2Cost
from service.storage.schema import migrate

HERE = Path(__file__).parent
URL = f"http://127.0.0.1:{PORT}"
PASSWORD = "correct horse battery staple"  # noqa: S105

# Of another password than those that are tried.
LUCIAS_HASH = f"s2:kHxTOVcQNWmdbGQn:{'ab' * 64}"

# What is refused, by which name, and with which status.
REFUSED = {
    "unknown name": ("nobody-{}", 401),
    "wrong password": ("{}", 401),
    "foreign hash": ("moved-{}", 401),
    "throttled": ("throttled", 429),
}

NOTHING, ME = "/healthz", "/me"

# The key is no secret: it is 32 zero bytes.
PRODUCTION = {
    "OSTIARY_ENV": "production",
    "OSTIARY_SECRET_KEYS": f"benchmark:{'A' * 43}=",
    "OSTIARY_COOKIE_HOST_PREFIX": "false",
}


class Load:
    """What one run of wrk measured. Latencies in milliseconds."""

    def __init__(self, requests: int, microseconds: int, p50: int, p99: int, failed: int) -> None:
        self.rate = requests / microseconds * 1e6
        self.p50, self.p99 = p50 / 1000, p99 / 1000
        if failed:
            raise SystemExit(f"{failed} requests failed: this measures nothing.")


class Bench:
    def __init__(self, directory: Path, server: EmbeddedPostgres, *, quick: bool) -> None:
        self.directory = directory
        self.server = server
        self.rounds = 1 if quick else 3
        self.seconds = 3 if quick else 8
        self.growth = 250_000 if quick else 5_000_000
        self.requests = 100_000 if quick else 1_000_000
        self.log_ins_refused = 20 if quick else 183
        self.results: dict[str, Any] = {}

    def database(self, name: str, sessions: int) -> tuple[str, Path]:
        """Create a database with this number of sessions. Returns its URL and a file of tokens."""
        tokens = self.directory / f"{name}.tokens"
        asyncio.run(self._make_database(name))
        seed(self.server.url(name), sessions, tokens)
        return self.server.url(name), tokens

    async def _make_database(self, name: str) -> None:
        await execute(self.server.url(), f"CREATE DATABASE {name}")
        await migrate(self.server.url(name))

    def get(self, path: str, tokens: Path, connections: int, seconds: int | None = None) -> Load:
        fields = wrk("me.lua", URL + path, connections, seconds or self.seconds, str(tokens))
        requests, microseconds, p50, p99, bad, broken = fields
        return Load(requests, microseconds, p50, p99, bad + broken)

    # What is measured, one after the other.

    def look_ups(self, url: str, tokens: Path) -> None:
        """Nothing and /me with one worker, the plain way, and two workers, taking turns."""
        loads: dict[str, list[Load]] = {}
        for _ in range(self.rounds):
            with serving(url):
                self.get(ME, tokens, 16, 1)
                for connections in (64, 1):
                    for path, name in ((NOTHING, "nothing"), (ME, "me")):
                        load = self.get(path, tokens, connections)
                        loads.setdefault(f"{name}, {connections}", []).append(load)
            with serving(url, program=[str(HERE / "plain.py")]):
                self.get(ME, tokens, 16, 1)
                loads.setdefault("plain, 64", []).append(self.get(ME, tokens, 64))
            with serving(url, OSTIARY_WORKERS="2"):
                self.get(ME, tokens, 16, 1)
                loads.setdefault("two workers, 64", []).append(self.get(ME, tokens, 64))
        rate = {name: median(load.rate for load in found) for name, found in loads.items()}
        p50 = {name: median(load.p50 for load in found) for name, found in loads.items()}
        p99 = {name: median(load.p99 for load in found) for name, found in loads.items()}
        self.results["loads"] = {
            name: {"rate": rate[name], "p50": p50[name], "p99": p99[name]} for name in loads
        }
        self.ratio(
            "/me : nothing, rate, 64 connections", rate["me, 64"] / rate["nothing, 64"], 0.65
        )
        self.ratio("/me, p99 : p50, 64 connections", p99["me, 64"] / p50["me, 64"], -3)
        self.ratio("/me : nothing, p50, 1 connection", p50["me, 1"] / p50["nothing, 1"], -2.5)
        self.ratio("/me : the plain way, rate", rate["me, 64"] / rate["plain, 64"], 6)
        self.ratio("two workers : one, rate", rate["two workers, 64"] / rate["me, 64"], 1.4)

    def growth_of_the_table(self) -> None:
        small, large = self.database("small", 10_000), self.database("large", self.growth)
        rates: dict[str, list[float]] = {"small": [], "large": []}
        for _ in range(self.rounds):
            for name, (url, tokens) in (("small", small), ("large", large)):
                with serving(url):
                    self.get(ME, tokens, 64, 2)
                    rates[name].append(self.get(ME, tokens, 64).rate)
        self.results["growth"] = {name: median(found) for name, found in rates.items()}
        ratio = median(rates["large"]) / median(rates["small"])
        self.ratio(f"/me, {self.growth:,} sessions : 10,000, rate", ratio, 0.9)

    def log_ins(self, url: str) -> None:
        names = [f"bench{n}" for n in range(1, 201)]
        asyncio.run(make_users(url, names, argon2_hasher(Argon2Cost()).hash(PASSWORD)))
        verifications, log_ins = [], []
        for _ in range(self.rounds):
            verifications.append(verifications_per_second(self.seconds))
            with serving(url):
                microseconds, ok, _, other, _ = wrk("log_in.lua", URL + "/login", 8, self.seconds)
                require_none(other, "log-ins failed")
                log_ins.append(ok / microseconds * 1e6)
        self.results["log_in"] = {"log_ins": log_ins, "verifications": verifications}
        self.ratio("log-ins : bare verifications", median(log_ins) / median(verifications), 0.9)

    def flood(self, url: str, tokens: Path) -> None:
        """/me with 16 connections, alone and while 32 log in as fast as they can."""
        calm, flooded, slowest, answers = [], [], [], [0, 0]
        for _ in range(self.rounds):
            with serving(url, OSTIARY_WORKERS="2"), ThreadPoolExecutor() as pool:
                self.get(ME, tokens, 16, 1)
                calm.append(self.get(ME, tokens, 16).p99)
                attack = pool.submit(wrk, "log_in.lua", URL + "/login", 32, self.seconds + 2)
                time.sleep(1)
                flooded.append(self.get(ME, tokens, 16).p99)
                _, ok, overloaded, other, longest = attack.result()
                require_none(other, "log-ins were answered by neither 200 nor 503")
                slowest.append(longest / 1e6)
                answers = [answers[0] + ok, answers[1] + overloaded]
        beside = self.beside_burners(url, tokens)
        self.results["flood"] = {
            "calm": calm,
            "flooded": flooded,
            "beside burners": beside,
            "answers": answers,
        }
        print(f"/me, p99: {calm} calm, {flooded} in the flood, {beside} beside burners")
        self.ratio("/me, p99 in a flood : calm, two workers", median(flooded) / median(calm), -3)
        self.ratio("the slowest log-in of the flood, in seconds", max(slowest), -5)

    def beside_burners(self, url: str, tokens: Path) -> list[float]:
        """/me while other programs burn the same idle time: what the machine adds, not we."""
        p99 = []
        for _ in range(self.rounds):
            with serving(url, OSTIARY_WORKERS="2"):
                self.get(ME, tokens, 16, 1)
                command = [sys.executable, str(HERE / "burn.py"), str(self.seconds + 2)]
                burners = [
                    subprocess.Popen(command, start_new_session=True)
                    for _ in os.sched_getaffinity(0)
                ]
                time.sleep(1)
                p99.append(self.get(ME, tokens, 16).p99)
                for burner in burners:
                    burner.wait()
        return p99

    def refusals(self, url: str) -> None:
        """Measure what timing reveals to an attacker: refused log-ins of each kind, in turns."""
        names = [f"bench{n}" for n in range(1, self.log_ins_refused + 1)]
        asyncio.run(make_users(url, names, LUCIAS_HASH, prefix="moved-"))
        times: dict[str, list[float]] = {sort: [] for sort in REFUSED}
        with (
            serving(
                url, OSTIARY_LOG_IN_FAILURES_PER_ADDRESS="0", OSTIARY_LOG_IN_FAILURES_TOTAL="0"
            ),
            httpx.Client(base_url=URL, timeout=10) as client,
        ):
            for _ in range(12):
                log_in(client, "throttled")
            time.sleep(3)
            for name in names:
                for sort, (form, status) in REFUSED.items():
                    begun = time.perf_counter()
                    response = log_in(client, form.format(name))
                    times[sort].append(time.perf_counter() - begun)
                    require_none(response.status_code != status, f"log-ins of {sort} went wrong")
        medians = {sort: median(found) * 1000 for sort, found in times.items()}
        self.results["refusals"] = medians
        print(f"refusals, medians in ms: {medians}")
        ratio = max(medians.values()) / min(medians.values())
        self.ratio("refusals, slowest median : fastest", ratio, -1.05)

    def memory(self, url: str, tokens: Path) -> None:
        with serving(url, None, checkout=ROOT, **PRODUCTION) as pid:
            (worker,) = psutil.Process(pid).children()
            at_rest = worker.memory_info().rss / 1e6
            self.get(ME, tokens, 64, 5)
            before = worker.memory_info().rss / 1e6
            sent = 0
            while sent < self.requests:
                sent += int(self.get(ME, tokens, 64, 10).rate * 10)
            after = worker.memory_info().rss / 1e6
        self.results["memory"] = {"at_rest": at_rest, "before": before, "after": after}
        self.ratio("a worker at rest, in MB", at_rest, -90)
        self.ratio(f"growth over {sent:,} requests, in MB", after - before, -2)

    def ratio(self, name: str, value: float, bound: float) -> None:
        """Note a ratio; a negative bound is one from above."""
        met = value <= -bound if bound < 0 else value >= bound
        self.results.setdefault("ratios", []).append(
            {"name": name, "value": value, "bound": bound, "met": met}
        )
        sign = "≤" if bound < 0 else "≥"
        print(f"{name}: {value:.2f} ({sign} {abs(bound)}) {'' if met else 'MISSED'}", flush=True)


async def make_users(url: str, names: list[str], password_hash: str, prefix: str = "") -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(
        """WITH made AS (
               INSERT INTO "user" (id) SELECT gen_random_uuid() FROM unnest($1::text[]) RETURNING id
           )
           INSERT INTO key (provider, name, user_id, display_name, password_hash, password_scheme)
           SELECT 'username', $3 || ($1::text[])[row_number() OVER ()], id, 'Bench', $2, $4
           FROM made""",
        names,
        password_hash,
        prefix,
        parse_password_hash(password_hash).scheme,
    )
    await connection.close()


def log_in(client: httpx.Client, username: str) -> httpx.Response:
    return client.post("/login", json={"username": username, "password": "not the right one"})


def verifications_per_second(seconds: int) -> float:
    """Return the verifications per second of all cores, with nothing else running."""
    hasher = argon2_hasher(Argon2Cost())
    password_hash = hasher.hash(PASSWORD)
    cores = len(os.sched_getaffinity(0))
    end = time.monotonic() + seconds

    def verify(_: int) -> int:
        done = 0
        while time.monotonic() < end:
            hasher.verify(password_hash, PASSWORD)
            done += 1
        return done

    with ThreadPoolExecutor(cores) as pool:
        return sum(pool.map(verify, range(cores))) / seconds


def table(results: dict[str, Any]) -> str:
    rows = [f"{results['date']}, {results['machine']}", ""]
    rows += ["| load | requests/s | p50, ms | p99, ms |", "| --- | ---: | ---: | ---: |"]
    for name, load in results["loads"].items():
        rows.append(f"| {name} | {load['rate']:,.0f} | {load['p50']:.2f} | {load['p99']:.2f} |")
    rows += ["", "| ratio | measured | bound | |", "| --- | ---: | ---: | --- |"]
    for ratio in results["ratios"]:
        sign = "at most" if ratio["bound"] < 0 else "at least"
        met = "" if ratio["met"] else "**missed**"
        rows.append(
            f"| {ratio['name']} | {ratio['value']:.2f} | {sign} {abs(ratio['bound'])} | {met} |"
        )
    return "\n".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under two minutes, less exact")
    quick = parser.parse_args().quick
    require_wrk()
    with (
        tempfile.TemporaryDirectory() as directory,
        postgresql(Path(directory) / "data", {"shared_buffers": "2GB"}) as server,
    ):
        bench = Bench(Path(directory), server, quick=quick)
        url, tokens = bench.database("bench", 100_000)
        bench.look_ups(url, tokens)
        bench.log_ins(url)
        bench.refusals(url)
        bench.flood(url, tokens)
        bench.growth_of_the_table()
        bench.memory(url, tokens)
    results = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "quick": quick,
        **bench.results,
    }
    print(table(results))
    if not quick:
        (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n")
        rates = {name: load["rate"] for name, load in results["loads"].items() if "64" in name}
        (HERE / "results.svg").write_text(bar_chart("Requests per second", rates))


if __name__ == "__main__":
    main()
