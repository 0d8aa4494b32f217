"""How the service answers while clients hold thousands of connections that they do not use.

    python benchmarks/connections.py [--connections 5000]

Each scenario opens the connections, opens those again that the service closes, and meanwhile asks
`GET /me` a hundred times, each on a new connection, as somebody else's browser does.
"""

from __future__ import annotations

import argparse
import asyncio
import http
import http.client
import selectors
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psutil
from seeding import seed
from servers import PORT, postgresql, serving

from service.server.open_files import raise_limit
from service.storage.schema import migrate

ADDRESS = ("127.0.0.1", PORT)
IDLE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 40

# Settings of the service, with less time for clients that do not read than by default.
READ_TIMEOUT = 10


class Crowd:
    """Connections of clients that are all alike; a thread keeps their number up."""

    def __init__(self, number: int, sent: bytes, *, reads: bool) -> None:
        self._sent, self._reads = sent, reads
        self._selector = selectors.DefaultSelector()
        self._stopped = False
        self.reopened = 0
        for _ in range(number):
            self._open()
        self._thread = threading.Thread(target=self._keep_open)
        self._thread.start()

    def close(self) -> None:
        """Close all connections."""
        self._stopped = True
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            self._close(key.data)

    def _open(self) -> None:
        connection = socket.socket()
        if not self._reads:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect(ADDRESS)
        connection.settimeout(0)
        if self._sent:
            connection.send(self._sent)
        self._selector.register(
            connection,
            selectors.EVENT_READ if self._reads else selectors.EVENT_WRITE,
            data=connection,
        )

    def _close(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        connection.close()

    def _keep_open(self) -> None:
        while not self._stopped:
            if not self._reads:
                time.sleep(0.2)
                continue
            for key, _ in self._selector.select(0.2):
                try:
                    closed = not key.data.recv(65536)
                except OSError:
                    closed = True
                if closed:
                    self._close(key.data)
                    self._open()
                    self.reopened += 1


@contextmanager
def crowds(*wanted: tuple[int, bytes, bool]) -> Iterator[list[Crowd]]:
    """Hold crowds of connections."""
    made = [Crowd(number, sent, reads=reads) for number, sent, reads in wanted]
    try:
        yield made
    finally:
        for each in made:
            each.close()


def ask_me(token: str) -> list[float]:
    """Ask a hundred times, on a new connection each; return the times in milliseconds."""
    times = []
    for _ in range(100):
        began = time.perf_counter()
        connection = http.client.HTTPConnection(*ADDRESS, timeout=30)
        connection.request("GET", "/me", headers={"Authorization": f"Bearer {token}"})
        if connection.getresponse().status != http.HTTPStatus.OK:
            raise SystemExit("/me failed.")
        connection.close()
        times.append((time.perf_counter() - began) * 1000)
        time.sleep(0.08)
    return times


def report(name: str, worker: psutil.Process, act: Callable[[], list[float]]) -> None:
    """Print a row of the table."""
    times = sorted(act())
    memory = worker.memory_info().rss / 2**20
    print(
        f"| {name} | {median(times):.1f} | {times[98]:.1f} | {times[99]:.1f} "
        f"| {worker.num_fds():,} | {memory:.0f} |",
        flush=True,
    )


def main() -> None:
    """Run all scenarios and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=5000)
    number = parser.parse_args().connections
    raise_limit()
    with (
        tempfile.TemporaryDirectory(prefix="ostiary-benchmark-") as directory,
        postgresql(Path(directory) / "data", {}) as server,
    ):
        asyncio.run(migrate(server.url()))
        tokens = Path(directory) / "tokens"
        seed(server.url(), 100, tokens, 1)
        token = tokens.read_text().split()[0]
        with serving(server.url(), OSTIARY_CLIENT_TIMEOUT=f"{READ_TIMEOUT}s") as pid:
            worker = psutil.Process(pid).children()[0]
            print("| connections | p50, ms | p99, ms | max, ms | open files | memory, MiB |")
            print("| --- | ---: | ---: | ---: | ---: | ---: |")
            report("none", worker, lambda: ask_me(token))
            with crowds((number, b"", True)):
                report(f"{number:,} silent", worker, lambda: ask_me(token))
            with crowds((number, IDLE, True)):
                report(f"{number:,} idle", worker, lambda: ask_me(token))
            with crowds((number, b"", True), (number, IDLE, True)):
                report(f"{number:,} silent, {number:,} idle", worker, lambda: ask_me(token))
            before = worker.num_fds()
            with crowds((number, LARGE, False)):
                report(f"{number:,} that do not read", worker, lambda: ask_me(token))
                deadline = time.monotonic() + 6 * READ_TIMEOUT
                began = time.monotonic()
                while worker.num_fds() > before + 10 and time.monotonic() < deadline:
                    time.sleep(0.5)
                print(
                    f"\nOf those that do not read, {max(0, worker.num_fds() - before - 5)} are "
                    f"open {time.monotonic() - began:.0f} s later (limit: {READ_TIMEOUT} s)."
                )


if __name__ == "__main__":
    main()
