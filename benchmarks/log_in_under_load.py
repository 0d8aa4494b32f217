"""``make bench-load``: log-ins on a busy machine, and in a flood of log-ins from one address."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import httpx
from candidate import free_port
from load import HERE, require_wrk, wrk
from machine import machine
from servers import ROOT, environment, postgresql, serving

PORT = free_port()
URL = f"http://127.0.0.1:{PORT}"
RIGHT, WRONG = "correct horse battery staple", "wrong horse battery staple"
VICTIMS, FLOODED = 50, 6
CALM_LOG_INS = 20
FLOOD_CONNECTIONS, ME_CONNECTIONS = 60, 8
BUSY_LOOPS = 2
OK = 200

# Seconds: of a measurement of /me, between two log-ins, and until a log-in has failed.
ME_SECONDS, PAUSE, TIMEOUT = 8, 0.1, 15

# The worst case: no limit stops the flood. The clients' addresses are in X-Forwarded-For.
SETTINGS = {
    "OSTIARY_PORT": str(PORT),
    "OSTIARY_TRUSTED_PROXIES": "127.0.0.1",
    "OSTIARY_LOG_IN_FAILURES_PER_NAME": "0",
    "OSTIARY_LOG_IN_FAILURES_PER_ADDRESS": "0",
    "OSTIARY_LOG_IN_FAILURES_PER_DEVICE": "0",
    "OSTIARY_LOG_IN_FAILURES_TOTAL": "0",
    "OSTIARY_LOG_INS_PER_NAME_AND_ADDRESS": "0",
    "OSTIARY_SIGN_UPS_PER_ADDRESS": "0",
}

Row = tuple[str, str, str]


class LogIns:
    """Log-ins of users, one after the other, each from an address of their own."""

    def __init__(self, client: httpx.Client, count: int = CALM_LOG_INS) -> None:
        self.seconds: list[float] = []
        self.failed: list[int] = []
        for number in range(count):
            started = time.monotonic()
            status = log_in(client, f"victim{number}", f"203.0.113.{number}").status_code
            if status == OK:
                self.seconds.append(time.monotonic() - started)
            else:
                self.failed.append(status)
            time.sleep(PAUSE)

    @property
    def median(self) -> float:
        """The median of those that succeeded."""
        return median(self.seconds or [float("inf")])

    def within(self, seconds: float) -> int:
        """Return how many succeeded in so many seconds."""
        return sum(each <= seconds for each in self.seconds)

    def __str__(self) -> str:
        failed = f", refused: {self.failed}" if self.failed else ""
        return f"median {self.median:.2f} s, slowest {max(self.seconds, default=0):.2f} s{failed}"


def log_in(client: httpx.Client, name: str, address: str, path: str = "/login") -> httpx.Response:
    body = {"username": name, "password": RIGHT, "transport": "bearer"}
    return client.post(path, json=body, headers={"X-Forwarded-For": address})


def sign_up_all(client: httpx.Client, tokens: Path) -> None:
    names = [f"victim{n}" for n in range(VICTIMS)] + [f"flood{n + 1}" for n in range(FLOODED)]
    answers = [log_in(client, name, "203.0.113.255", "/signup") for name in names]
    tokens.write_text("".join(f"{each.json()['session']['token']}\n" for each in answers))


def p99_of_me(tokens: Path) -> float:
    """Return the 99th percentile of GET /me, in milliseconds."""
    arguments = (ME_CONNECTIONS, ME_SECONDS, str(tokens), "bearer")
    return wrk("me.lua", f"{URL}/me", *arguments)[3] / 1000


@contextmanager
def busy_machine() -> Iterator[None]:
    """Run programs that never wait, each in a session of its own like those of other users."""
    command = [sys.executable, "-c", "while True: pass"]
    loops = [subprocess.Popen(command, start_new_session=True) for _ in range(BUSY_LOOPS)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@contextmanager
def flood(password: str, answers: list[int]) -> Iterator[None]:
    """Log in from one address on many connections; ``answers`` gets the number of each status."""
    command = ["wrk", "-t1", f"-c{FLOOD_CONNECTIONS}", "-d1h", "--timeout", f"{TIMEOUT}s"]
    command += ["-s", str(HERE / "flood.lua"), f"{URL}/login", "--", password, str(FLOODED)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            time.sleep(2)
            yield
        finally:
            # wrk ends as if its time were over.
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate()
    (line,) = [line for line in output.splitlines() if line.startswith("RESULT")]
    answers += map(int, line.split()[1:])


def measure(client: httpx.Client, tokens: Path) -> list[Row]:
    """Return a row for each measurement: what, how much, and the bound."""
    calm, calm_p99 = LogIns(client), p99_of_me(tokens)
    rows = [("a log-in, calm", str(calm), ""), ("`/me`, calm, p99", f"{calm_p99:.1f} ms", "")]
    with busy_machine():
        busy = LogIns(client)
    rows.append((f"a log-in beside {BUSY_LOOPS} busy loops", str(busy), "median below 0.5 s"))
    rows.append(("the same : calm", f"{busy.median / calm.median:.1f}", ""))
    for kind, password in (("right", RIGHT), ("wrong", WRONG)):
        answers: list[int] = []
        with flood(password, answers):
            p99, log_ins = p99_of_me(tokens), LogIns(client, VICTIMS)
        what = f"in a flood of {kind} passwords from one address"
        within = f"{log_ins.within(2)} of {VICTIMS} within 2 s; {log_ins}"
        rows.append((f"somebody else's log-in {what}", within, f"{VICTIMS} of {VICTIMS}"))
        rows.append((f"`/me` {what}, p99", f"{p99:.1f} ms", ""))
        rows.append(("the same : calm", f"{p99 / calm_p99:.2f}", "at most 3"))
        statuses = ", ".join(
            f"{count} times {status}"
            for status, count in zip((200, 401, 429, 503), answers, strict=True)
            if count
        )
        rows.append(("the flood's answers", statuses, ""))
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    head: list[Row] = [("", "measured", "bound"), ("---", "---", "---")]
    return "\n".join(f"| {' | '.join(row)} |" for row in (*head, *rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1, help="of the service (default: 1)")
    workers = parser.parse_args().workers
    require_wrk()
    with tempfile.TemporaryDirectory() as name, postgresql(Path(name) / "data", {}) as server:
        url = server.url()
        command = [sys.executable, "-m", "service", "migrate"]
        subprocess.run(command, env=environment(url), stdout=sys.stderr, check=True)
        with (
            serving(url, None, checkout=ROOT, OSTIARY_WORKERS=str(workers), **SETTINGS),
            httpx.Client(base_url=URL, timeout=TIMEOUT, trust_env=False) as client,
        ):
            tokens = Path(name) / "tokens"
            sign_up_all(client, tokens)
            rows = measure(client, tokens)
    today = datetime.now(UTC).date().isoformat()
    print(f"{today}, {machine()}, {workers} worker(s)\n\n{table(rows)}")


if __name__ == "__main__":
    main()
