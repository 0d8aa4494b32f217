"""The kinds of metrics. They cost next to nothing until `enable` is called.

The library decides when it is imported whether the figures of several processes are added up:
therefore each process imports it in `enable` only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import ModuleType
from typing import Any

# All metrics, in the order of their definitions.
METRICS: list[Metric] = []


class Metric(ABC):
    """A metric, with the names of its labels."""

    kind: str

    def __init__(self, name: str, description: str, *labels: str) -> None:
        self.name = name
        self.description = description
        self.labels = labels
        self._collected: Any = None
        self._by_labels: dict[tuple[str, ...], Any] = {}
        METRICS.append(self)

    @property
    def exposed_name(self) -> str:
        """The name that Prometheus sees."""
        return self.name

    def enable(self, library: ModuleType) -> None:
        """Collect the metric from now on."""
        self._collected = self._collect(library)

    @abstractmethod
    def _collect(self, library: ModuleType) -> Any:
        """Return the library's metric."""

    def _of(self, labels: tuple[str, ...]) -> Any:
        """Return the library's metric with the values of its labels."""
        if not labels:
            return self._collected
        found = self._by_labels.get(labels)
        if found is None:
            found = self._by_labels[labels] = self._collected.labels(*labels)
        return found


class Counter(Metric):
    """What can only grow."""

    kind = "counter"

    @property
    def exposed_name(self) -> str:
        """The name that Prometheus sees, with the suffix of OpenMetrics."""
        return f"{self.name}_total"

    def add(self, *labels: str, number: float = 1) -> None:
        """Count one more, or so many."""
        if self._collected is not None:
            self._of(labels).inc(number)

    def _collect(self, library: ModuleType) -> Any:
        return library.Counter(self.name, self.description, self.labels)


class Gauge(Metric):
    """What grows and shrinks: the sum over the workers that are alive.

    If it ``is_shared``, all workers count the same: the newest of their figures.
    """

    kind = "gauge"

    def __init__(self, name: str, description: str, *labels: str, is_shared: bool = False) -> None:
        super().__init__(name, description, *labels)
        self._mode = "mostrecent" if is_shared else "livesum"

    def set(self, value: float) -> None:
        """Replace the value of this process."""
        if self._collected is not None:
            self._collected.set(value)

    def _collect(self, library: ModuleType) -> Any:
        return library.Gauge(self.name, self.description, self.labels, multiprocess_mode=self._mode)


class Histogram(Metric):
    """How often a value was at most each of some bounds."""

    kind = "histogram"

    def __init__(
        self, name: str, description: str, *labels: str, bounds: tuple[float, ...]
    ) -> None:
        super().__init__(name, description, *labels)
        self._bounds = bounds

    def observe(self, value: float, *labels: str) -> None:
        """Count a value."""
        if self._collected is not None:
            self._of(labels).observe(value)

    def _collect(self, library: ModuleType) -> Any:
        return library.Histogram(self.name, self.description, self.labels, buckets=self._bounds)


class NotAddedUp(Exception):
    """The library was imported too early: the figures of a process would be its own only."""


def enable() -> None:
    """Collect the metrics of this process, in files of the directory PROMETHEUS_MULTIPROC_DIR.

    Raises `NotAddedUp`.
    """
    import prometheus_client  # noqa: PLC0415
    from prometheus_client import values  # noqa: PLC0415

    if values.ValueClass is values.MutexValue:
        raise NotAddedUp
    for metric in METRICS:
        metric.enable(prometheus_client)
