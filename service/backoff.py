"""When processes that died are started again."""

from __future__ import annotations

from msgspec import Struct

# A process that ran for so many seconds was healthy: its death is the first one.
HEALTHY_AFTER = 60.0

# Waiting time before the second start in a row, in seconds; it doubles with each further one.
FIRST_DELAY = 1.0
MAX_DELAY = 30.0


class Backoff(Struct):
    """The deaths of one process in a row."""

    deaths: int = 0

    def delay_after(self, lifetime: float) -> float:
        """Count a death, after a life of so many seconds; return how long to wait.

        The first time the process is started again at once.
        """
        self.deaths = 1 if lifetime >= HEALTHY_AFTER else self.deaths + 1
        if self.deaths == 1:
            return 0.0
        return min(MAX_DELAY, FIRST_DELAY * 2.0 ** (self.deaths - 2))
