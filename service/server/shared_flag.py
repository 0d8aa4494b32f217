"""A flag that the supervisor and its workers share."""

from __future__ import annotations

from mmap import mmap


class SharedFlag:
    """A flag in memory that a process shares with all that it forks, however late.

    No message has to arrive: what one of them does, all others see at once, and so does a worker
    that is forked afterwards. It takes no lock, so a signal handler may set it.
    """

    def __init__(self) -> None:
        # Anonymous, and shared across fork (MAP_SHARED of mmap(2)).
        self._byte = mmap(-1, 1)

    def set(self) -> None:
        """Set it."""
        self._byte[0] = 1

    def clear(self) -> None:
        """Clear it."""
        self._byte[0] = 0

    def is_set(self) -> bool:
        """Return whether it is set."""
        return self._byte[0] == 1
