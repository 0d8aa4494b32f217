"""The figures of a fault, the bounds that they must keep, and the table of all."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from tests.faults.requests import CUT, REFUSED

# In seconds: when the last answer comes, with the default `OSTIARY_REQUEST_TIMEOUT` of 5 s, and
# when the last failure is over after the fault.
MAX_WAIT, MAX_RECOVERY = 6.0, 5.0

HEAD = """\
| fault | requests | failures | acknowledged writes, lost | longest wait | recovered after |
| --- | ---: | --- | ---: | ---: | ---: |"""


class Row(Struct, frozen=True, kw_only=True):
    """What clients saw of a fault; times in seconds."""

    fault: str
    requests: int
    failures: dict[str, int]
    acknowledged: int
    lost: list[str]
    longest_wait: float
    recovered_after: float

    def require_bounds(self, *, connections_end: bool) -> None:
        """Check the bounds; connections may end only where what held them has ended."""
        permitted = {CUT, REFUSED} if connections_end else set()
        unexpected = {
            outcome: number
            for outcome, number in self.failures.items()
            if outcome not in permitted and not outcome.startswith("503 ")
        }
        assert not unexpected, f"{self.fault}: {unexpected}"
        assert not self.lost, f"{self.fault}: {len(self.lost)} lost: {self.lost[:5]}"
        assert self.longest_wait <= MAX_WAIT, f"{self.fault}: waited {self.longest_wait:.1f} s"
        assert self.recovered_after <= MAX_RECOVERY, (
            f"{self.fault}: recovered after {self.recovered_after:.1f} s"
        )

    def __str__(self) -> str:
        failures = ", ".join(
            f"{each}: {number:,}" for each, number in sorted(self.failures.items())
        )
        return (
            f"| {self.fault} | {self.requests:,} | {failures or 'none'} "
            f"| {self.acknowledged:,}, {len(self.lost)} "
            f"| {self.longest_wait:.1f} s | {self.recovered_after:.1f} s |"
        )


def table(rows: Iterable[Row]) -> str:
    """Return a Markdown table of the figures of all faults."""
    return "\n".join([HEAD, *map(str, sorted(rows, key=lambda row: row.fault))])
