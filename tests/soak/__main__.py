"""Let clients use a service for a long time; exit with 1 if it grows. ``SOAK_MINUTES`` is settable.

A run of fewer minutes than the default shows that the soak works, and finds large leaks only: it
tells how large.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import psutil

from service.settings.database import DatabaseOptions
from service.settings.variables import variables
from tests.databases import fetch_value, searchable_directory
from tests.faults.crowds import HALF_A_HEAD, Crowd
from tests.faults.instances import Instance
from tests.faults.servers import OwnServer
from tests.faults.serving import WORKERS, require_no_traceback
from tests.services import NO_LIMITS, reserved_port
from tests.soak.clients import Client
from tests.soak.samples import (
    FIRST,
    HEAD,
    LAST,
    MIB,
    PARTS,
    Sample,
    growths,
    sample_process,
    write,
)

MINUTES = float(os.environ.get("SOAK_MINUTES") or 30)

CLIENTS = 8

# Connections that send nothing, and half the head of a request.
SILENT = 40

SAMPLES = 300

CSV = Path(__file__).parents[2] / ".soak" / "samples.csv"

# Usual limits, which allow what the clients do: each request has another address, and only of all
# failures together there are too many.
SETTINGS = {
    **{each.name: each.default_text for each in variables() if each.name in NO_LIMITS},
    "OSTIARY_LOG_IN_FAILURES_TOTAL": "0",
    "OSTIARY_TRUSTED_PROXIES": "127.0.0.1",
    # Often, so that what it occupies is seen as well.
    "OSTIARY_CLEANUP_INTERVAL": "1m",
}

# As docs/settings.md has it: each worker has its pool, two for look-ups, and one for readiness.
MAX_CONNECTIONS = int(WORKERS["OSTIARY_WORKERS"]) * (DatabaseOptions().pool_size + 3)

CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ostiary'"


@contextmanager
def instance_on(server: OwnServer, log: Path) -> Iterator[Instance]:
    """Run the service on a server."""
    with reserved_port() as port:
        instance = Instance(server.url, port, log, **SETTINGS)
        try:
            instance.start()
            yield instance
            instance.stop()
        finally:
            instance.clean_up()


def sample(instance: Instance, server: OwnServer, second: float) -> Sample:
    """Return what the service occupies now."""
    supervisor, workers = instance.family()[0], instance.workers()
    roles = [(supervisor, "supervisor"), *((each, "worker") for each in workers)]
    roles += [(each, "hash process") for each in instance.hash_processes()]
    return Sample(
        second=second,
        connections=fetch_value(server.admin_url, CONNECTIONS),
        processes=[sample_process(process, role, second) for process, role in roles],
    )


def soak(instance: Instance, server: OwnServer) -> tuple[list[Sample], Counter[str]]:
    """Let clients use the service; return what it occupied meanwhile, and what they saw."""
    clients = [Client(instance.url, number) for number in range(CLIENTS)]
    samples: list[Sample] = []
    with ExitStack() as stack:
        crowds = [
            stack.enter_context(closing(Crowd(instance.url, SILENT, sent)))
            for sent in (b"", HALF_A_HEAD)
        ]
        for each in clients:
            each.start()
            stack.callback(each.stop)
        began, length = monotonic(), MINUTES * 60
        while (second := monotonic() - began) < length:
            for crowd in crowds:
                crowd.keep_up()
            if second >= len(samples) * length / SAMPLES:
                samples.append(sample(instance, server, second))
            sleep(0.1)
    return samples, sum((each.outcomes for each in clients), Counter())


def main() -> int:
    """Return the exit code."""
    with (
        searchable_directory() as directory,
        TemporaryDirectory() as logs,
        ExitStack() as stack,
    ):
        server = OwnServer(directory / "data")
        server.start()
        stack.callback(server.stop)
        log = Path(logs) / "service.log"
        with instance_on(server, log) as instance:
            workers = instance.workers()
            samples, outcomes = soak(instance, server)
            has_died = workers != instance.workers()
        require_no_traceback(log)
    write(samples, CSV)
    found = growths(samples, MAX_CONNECTIONS)
    print(HEAD, *found, sep="\n")
    print(f"\n{outcomes.total():,} requests in {MINUTES:g} minutes: {dict(outcomes.most_common())}")
    between = outcomes.total() * (LAST - FIRST) / PARTS
    print(f"a leak of {found[0].allowed * MIB / between:,.0f} bytes a request would have shown")
    print(f"{CSV.relative_to(Path.cwd())} has {len(samples)} samples of each process")
    if has_died:
        print("a worker died")
    return int(has_died or not all(each.is_allowed for each in found) or "500" in outcomes)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except psutil.NoSuchProcess as error:
        sys.exit(f"a process of the service ended: {error}")
