"""A clock that is wrong, for one program and all that it starts (Debian's libfaketime)."""

from __future__ import annotations

from pathlib import Path

import pytest

# The directory of a module that Python imports at its start.
WORKAROUND = Path(__file__).parent / "wrong_clock"


class WrongClock:
    """A clock that differs from the machine's; the monotonic clock is that of the machine."""

    def __init__(self, file: Path, days: int) -> None:
        libraries = list(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not libraries:
            pytest.fail("libfaketime is not installed; on Debian: apt-get install libfaketime")
        self._file = file
        # A command that runs another one by this clock.
        self.command = [
            "env",
            f"LD_PRELOAD={libraries[0]}",
            f"FAKETIME_TIMESTAMP_FILE={file}",
            # In seconds: reading the file at each look at the clock would take most of the time.
            "FAKETIME_CACHE_DURATION=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            f"PYTHONPATH={WORKAROUND}",
        ]
        self.set(days)

    def set(self, days: int) -> None:
        """Set it so many days ahead of the machine's, or behind it, within a second."""
        written = self._file.with_suffix(".new")
        written.write_text(f"{days:+d}d\n")
        # A file that is being written would be read as no difference at all.
        written.replace(self._file)
