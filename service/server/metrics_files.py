"""The files in which the workers collect metrics.

They exist, with room for all that they will hold, before a worker writes: the library writes
through memory, and where the disk was full the kernel would kill the worker (SIGBUS). They are
named after the number of the worker, so that one that replaces it goes on in the same file.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from service.metrics import WORKERS_STARTED
from service.metrics.kinds import METRICS, Gauge
from service.server.sockets import SocketAddress

# The library's name.
DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"

# The library's names of the files of a worker.
KINDS = ("counter", "gauge_sum", "gauge_mostrecent", "histogram")

# The size of a file, in bytes: several times what all routes, statuses and bounds take.
FILE_SIZE = 512 * 1024


class MetricsPlace(Struct, frozen=True, kw_only=True):
    """Where metrics are collected and served."""

    directory: Path
    address: SocketAddress


def make_directory(workers: int) -> TemporaryDirectory[str]:
    """Make a directory with the files of so many workers. Raises `OSError`."""
    directory = TemporaryDirectory(prefix="ostiary-metrics-")
    try:
        for kind in KINDS:
            for index in range(workers):
                allocate(Path(directory.name, f"{kind}_{index}.db"))
    except BaseException:
        directory.cleanup()
        raise
    return directory


def allocate(path: Path) -> None:
    """Make a file of zeros that no lack of space can affect later. Raises `OSError`."""
    with path.open("xb") as file:
        file.write(bytes(FILE_SIZE))
        file.flush()
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, FILE_SIZE)


def collect_metrics(place: MetricsPlace, index: int) -> None:
    """Collect the metrics of this process, the worker with this number, from now on."""
    os.environ[DIRECTORY] = str(place.directory)
    import prometheus_client  # noqa: PLC0415
    from prometheus_client import values  # noqa: PLC0415

    # The library's way to name files otherwise than after the process.
    values.ValueClass = values.MultiProcessValue(  # type: ignore[no-untyped-call]
        process_identifier=lambda: index
    )
    for metric in METRICS:
        metric.enable(prometheus_client)
        if isinstance(metric, Gauge) and not metric.is_shared:
            # The file may have the last value of a worker that died.
            metric.set(0)
    WORKERS_STARTED.add()
