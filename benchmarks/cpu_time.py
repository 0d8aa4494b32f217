"""CPU time of the service's processes and of PostgreSQL's, to the nanosecond."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path

import psutil


class Part(StrEnum):
    """What the time is spent on. Hash processes are the children of workers."""

    HASHING = "hash processes"
    SERVICE = "service"
    POSTGRESQL = "PostgreSQL"


@contextmanager
def hashing_at_normal_priority(service: int) -> Iterator[None]:
    """Schedule the hash processes of a service like others, as far as permitted.

    In older revisions they run at SCHED_IDLE: on a busy machine no log-in would end. They are
    looked for repeatedly, since they start on demand.
    """
    done = threading.Event()

    def look_repeatedly() -> None:
        while not done.wait(0.3):
            for worker in psutil.Process(service).children():
                for process in worker.children(recursive=True):
                    _schedule_normally(process.pid)

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look_repeatedly)
        try:
            yield
        finally:
            done.set()
        looking.result()


def _schedule_normally(process: int) -> None:
    with suppress(OSError):
        os.sched_setscheduler(process, os.SCHED_OTHER, os.sched_param(0))
        Path(f"/proc/{process}/autogroup").write_text("0")


class CpuTimes:
    """The CPU times of the processes since their start, at one moment."""

    def __init__(self, service: int, postmaster: int) -> None:
        """Read the times; the arguments are the ids of the supervisor and the postmaster."""
        self._seconds: dict[tuple[Part, int], float] = {}
        for part, process in _processes(service, postmaster):
            with suppress(ProcessLookupError):
                self._seconds[part, process] = cpu_time(process)

    def since(self, before: CpuTimes) -> dict[Part, float]:
        """Return the seconds that each part spent since then. Processes that ended do not count."""
        spent = dict.fromkeys(Part, 0.0)
        for (part, process), seconds in self._seconds.items():
            spent[part] += seconds - before._seconds.get((part, process), 0.0)
        return spent


def cpu_time(process: int) -> float:
    """Return the user and system time of a process and all its threads, in seconds.

    It is what /proc/PID/stat has, which rounds it down to hundredths of a second: too coarse for
    ten processes of PostgreSQL that share a tenth of a second. Raises `ProcessLookupError`.
    """
    clock = ctypes.c_int()
    error = _libc.clock_getcpuclockid(process, ctypes.byref(clock))
    if error:
        raise ProcessLookupError(error, os.strerror(error))
    try:
        return time.clock_gettime(clock.value)
    except OSError as ended:
        raise ProcessLookupError(*ended.args) from ended


def _processes(service: int, postmaster: int) -> Iterator[tuple[Part, int]]:
    watcher = psutil.Process(service)
    yield Part.SERVICE, watcher.pid
    for worker in watcher.children():
        yield Part.SERVICE, worker.pid
        for child in worker.children(recursive=True):
            yield Part.HASHING, child.pid
    server = psutil.Process(postmaster)
    for process in (server, *server.children(recursive=True)):
        yield Part.POSTGRESQL, process.pid


_libc = ctypes.CDLL(None)
