"""A flag that the supervisor and its workers share."""

from __future__ import annotations

from mmap import mmap


class SharedFlag:
    """A flag in memory that a process shares with all that it forks, however late.

    No message has to arrive: a change is visible to all of them at once, and to a worker that is
    forked afterwards. It takes no lock, so a signal handler may set it.
    """

    def __init__(self) -> None:
        # Anonymous, and shared across fork (MAP_SHARED of mmap(2)).
        self._byte = mmap(-1, 1)

    def set(self) -> None:
        """Make `is_set` true in every process."""
        self._byte[0] = 1

    def clear(self) -> None:
        """Make `is_set` false in every process."""
        self._byte[0] = 0

    def is_set(self) -> bool:
        """Return whether it is set."""
        return self._byte[0] == 1
