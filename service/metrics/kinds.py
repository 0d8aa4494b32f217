"""The kinds of metrics. They cost next to nothing until `Metric.enable` is called."""

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
    """A value that only grows."""

    kind = "counter"

    @property
    def exposed_name(self) -> str:
        """The name that Prometheus sees, with the suffix of OpenMetrics."""
        return f"{self.name}_total"

    def add(self, *labels: str, number: float = 1) -> None:
        """Add ``number``."""
        if self._collected is not None:
            self._of(labels).inc(number)

    def _collect(self, library: ModuleType) -> Any:
        return library.Counter(self.name, self.description, self.labels)


class Gauge(Metric):
    """What grows and shrinks: the sum over the workers.

    If it ``is_shared``, all workers count the same: the newest of their figures.
    """

    kind = "gauge"

    def __init__(self, name: str, description: str, *labels: str, is_shared: bool = False) -> None:
        super().__init__(name, description, *labels)
        self.is_shared = is_shared

    def set(self, value: float) -> None:
        """Replace the value of this process."""
        if self._collected is not None:
            self._collected.set(value)

    def _collect(self, library: ModuleType) -> Any:
        mode = "mostrecent" if self.is_shared else "sum"
        return library.Gauge(self.name, self.description, self.labels, multiprocess_mode=mode)


class Histogram(Metric):
    """Counts of observed values, cumulative by upper bound."""

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
