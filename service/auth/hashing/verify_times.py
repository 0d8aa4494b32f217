"""How long verifying a password takes, by the scheme of its hash."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

# The times that are kept for each scheme.
KEPT_TIMES = 64

# What a run is expected to take before anything was measured, in seconds.
UNMEASURED = 0.05


class VerifyTimes:
    """The last verification times of each scheme, in seconds."""

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}

    @property
    def schemes(self) -> Collection[str]:
        """The schemes that have times."""
        return self._times.keys()

    @property
    def p90(self) -> float:
        """The 90th percentile of the slowest scheme; 0 before anything was measured."""
        return max(map(percentile_90, self._times.values()), default=0.0)

    def expected(self, scheme: str) -> float:
        """Return what verifying a hash of a scheme is expected to take."""
        times = self._times.get(scheme)
        return percentile_90(times) if times else UNMEASURED

    def keep(self, scheme: str, seconds: float) -> None:
        """Keep a time."""
        self._times.setdefault(scheme, deque(maxlen=KEPT_TIMES)).append(seconds)

    def forget_others(self, schemes: Collection[str]) -> None:
        """Forget the times of all schemes but these."""
        self._times = {scheme: times for scheme, times in self._times.items() if scheme in schemes}


def percentile_90(values: Collection[float]) -> float:
    """Return the 90th percentile of at least one value."""
    return sorted(values)[len(values) * 9 // 10]
