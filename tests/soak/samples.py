"""What the processes of the service occupy, and how it grew."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

import psutil
from msgspec import Struct, structs

MIB = 1024**2

# Which of the equal parts of a run are compared: the one after the warm-up, and the last one.
PARTS = 10
FIRST, LAST = 2, 9

# By how much memory may grow, of that after the warm-up and at least. The allocator keeps what a
# peak needed, and each process meets its highest peaks, as of garbage that is collected every
# 20,000 objects, at some time or other; both end with the size of a peak, a leak does not end.
MEMORY_SHARE, MEMORY_LEAST = 0.05, 8.0

# By how many open files may grow: as many clients close their connections and open others at once.
FILES_LEAST = 16.0


class ProcessSample(Struct, frozen=True, kw_only=True):
    """What a process occupies, memory in MiB: ``pss`` divides what processes share among them."""

    second: float
    role: str
    pid: int
    rss: float
    pss: float
    files: int


class Sample(Struct, frozen=True, kw_only=True):
    """What the service occupies: ``connections`` are those to PostgreSQL."""

    second: float
    connections: int
    processes: list[ProcessSample]


class Growth(Struct, frozen=True, kw_only=True):
    """The median of a figure after the warm-up and at the end, and by how much it may grow."""

    figure: str
    first: float
    last: float
    allowed: float

    @property
    def is_allowed(self) -> bool:
        """Whether the figure has grown by no more than it may."""
        return self.last - self.first <= self.allowed

    def __str__(self) -> str:
        verdict = "ok" if self.is_allowed else "GROWS"
        return (
            f"| {self.figure} | {self.first:.1f} | {self.last:.1f} | {self.last - self.first:+.1f} "
            f"| {self.allowed:.1f} | {verdict} |"
        )


HEAD = """\
| median | after warm-up | at the end | growth | allowed | |
| --- | ---: | ---: | ---: | ---: | --- |"""


def sample_process(process: psutil.Process, role: str, second: float) -> ProcessSample:
    """Return what a process occupies. Raises `psutil.Error` if it has ended."""
    memory = process.memory_full_info()
    return ProcessSample(
        second=second,
        role=role,
        pid=process.pid,
        rss=memory.rss / MIB,
        pss=memory.pss / MIB,
        files=process.num_fds(),
    )


def growths(samples: Sequence[Sample], max_connections: int) -> list[Growth]:
    """Compare the part of a run after the warm-up with the last one: in all, and by process.

    Connections are opened when they are needed, so their number may grow to its maximum.
    """
    first, last = _part(samples, FIRST), _part(samples, LAST)
    connections = median(each.connections for each in first)
    in_all = [
        _memory_growth("memory of all processes (PSS), MiB", *map(_memory, (first, last))),
        Growth(
            figure="open files of all processes",
            first=_files(first),
            last=_files(last),
            allowed=FILES_LEAST,
        ),
        Growth(
            figure="connections to PostgreSQL",
            first=connections,
            last=median(each.connections for each in last),
            allowed=max_connections - connections,
        ),
    ]
    return in_all + [
        _memory_growth(
            f"memory of {each.role} {each.pid} (PSS), MiB", _of(first, each), _of(last, each)
        )
        for each in last[-1].processes
        if each.pid in {process.pid for process in first[0].processes}
    ]


def write(samples: Iterable[Sample], path: Path) -> None:
    """Write a line for each process and sample, as CSV."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*ProcessSample.__struct_fields__, "connections"])
        writer.writeheader()
        for sample in samples:
            for each in sample.processes:
                writer.writerow({**structs.asdict(each), "connections": sample.connections})


def _part(samples: Sequence[Sample], number: int) -> Sequence[Sample]:
    return samples[len(samples) * number // PARTS : len(samples) * (number + 1) // PARTS]


def _memory(samples: Iterable[Sample]) -> float:
    return median(sum(process.pss for process in each.processes) for each in samples)


def _files(samples: Iterable[Sample]) -> float:
    return median(sum(process.files for process in each.processes) for each in samples)


def _of(samples: Iterable[Sample], one: ProcessSample) -> float:
    return median(
        process.pss for each in samples for process in each.processes if process.pid == one.pid
    )


def _memory_growth(figure: str, first: float, last: float) -> Growth:
    allowed = max(MEMORY_LEAST, MEMORY_SHARE * first)
    return Growth(figure=figure, first=first, last=last, allowed=allowed)
