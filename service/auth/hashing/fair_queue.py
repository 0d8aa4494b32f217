"""The order in which passwords that wait are hashed, and which of them are refused.

Start-time fair queueing (Goyal, Vin and Cheng, 1996), by address block and by name at once: each
has a served time, and the one with the least is served next. A new one begins at the time of those
that are being served. A flood from one address, or for one name, therefore delays only itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv6Address

from msgspec import Struct

from service.model.request_context import Address

# Prefix length of an IPv6 site, in bytes (RFC 6177): one customer has all networks in it.
IPV6_SITE_BYTES = 6

# Served times that are kept although they may be outdated.
KEPT_TIMES = 1000


class Requester(Struct, frozen=True):
    """Who wants a password hashed: from where, as whom, and whether on a known device."""

    address_block: bytes
    name: str
    is_known: bool = False

    @property
    def flows(self) -> tuple[bytes | str, ...]:
        """What takes turns: the address block and the name."""
        return self.address_block, self.name


# The service itself: its measurements, and the command line.
SERVICE = Requester(b"", "", is_known=True)


def address_block_of(address: Address | None) -> bytes:
    """Return what one client usually has of the Internet: an IPv4 address, or an IPv6 site."""
    if address is None:
        return b""
    if isinstance(address, IPv6Address):
        return address.packed[:IPV6_SITE_BYTES]
    return address.packed


class Turn:
    """A place in a queue. ``cost`` is the time that the job is expected to take."""

    def __init__(self, requester: Requester, cost: float) -> None:
        self.requester = requester
        self.cost = cost

    @property
    def flows(self) -> tuple[bytes | str, ...]:
        """What the turn counts for."""
        return self.requester.flows


class FairQueue:
    """At most ``length`` turns that wait, in no order but that of `take`."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._waiting: list[Turn] = []
        self._served: dict[bytes | str, float] = {}
        self._now = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Turn]:
        return iter(list(self._waiting))

    def add(self, turn: Turn) -> Turn | None:
        """Add a turn. Returns the one that has to leave if the queue is full, perhaps itself.

        It is the newest of those whose address block or name has most turns.
        """
        self._waiting.append(turn)
        if len(self._waiting) <= self._length:
            return None
        excess = _excess(self._waiting)
        self._waiting.remove(excess)
        return excess

    def has_place_for(self, turn: Turn) -> bool:
        """Return whether a turn that is added would stay."""
        has_free_place = len(self._waiting) < self._length
        return has_free_place or _excess([*self._waiting, turn]) is not turn

    def take(self) -> Turn | None:
        """Remove the turn that is next, and count its cost; ``None`` if there is none."""
        if not self._waiting:
            return None
        turn = min(self._waiting, key=self._start)
        start = self._start(turn)
        for flow in turn.flows:
            self._served[flow] = start + turn.cost
        # It goes on even if all who are served are new, lest those who came before wait for ever.
        self._now = max(start, self._now + turn.cost / len(self._waiting))
        self._waiting.remove(turn)
        self._forget_the_past()
        return turn

    def discard(self, turn: Turn) -> None:
        """Remove a turn that is still there, without counting it."""
        if turn in self._waiting:
            self._waiting.remove(turn)

    def _start(self, turn: Turn) -> float:
        return max(self._now, *(self._served.get(flow, 0.0) for flow in turn.flows))

    def _forget_the_past(self) -> None:
        if not self._waiting:
            self._served.clear()
        elif len(self._served) > KEPT_TIMES:
            self._served = {
                flow: served for flow, served in self._served.items() if served > self._now
            }


def _excess(turns: list[Turn]) -> Turn:
    """Return the newest of the turns whose address block or name has most of them."""
    counts = Counter(flow for turn in turns for flow in turn.flows)
    return max(reversed(turns), key=lambda turn: max(counts[flow] for flow in turn.flows))


class SharedQueue:
    """Two fair queues that take turns: one for known devices, and one for everybody else."""

    def __init__(self, *, length: int, known_length: int) -> None:
        self._queues = {False: FairQueue(length), True: FairQueue(known_length)}
        self._is_known_next = True

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def __iter__(self) -> Iterator[Turn]:
        for queue in self._queues.values():
            yield from queue

    def add(self, turn: Turn) -> Turn | None:
        """Add a turn. Returns the one that has to leave if its queue is full, perhaps itself."""
        return self._queues[turn.requester.is_known].add(turn)

    def has_place_for(self, turn: Turn) -> bool:
        """Return whether a turn that is added would stay."""
        return self._queues[turn.requester.is_known].has_place_for(turn)

    def take(self) -> Turn | None:
        """Remove the turn that is next; ``None`` if there is none."""
        for is_known in (self._is_known_next, not self._is_known_next):
            turn = self._queues[is_known].take()
            if turn is not None:
                self._is_known_next = not is_known
                return turn
        return None

    def discard(self, turn: Turn) -> None:
        """Remove a turn that is still there."""
        self._queues[turn.requester.is_known].discard(turn)
