"""Refused requests in the log: some one by one, all of them as a number.

Clients must not be able to fill the log or the memory with refused requests.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from ipaddress import IPv6Address, ip_network

import structlog

from service.model.request_context import Address

# The length of the periods that are summed up, in seconds.
PERIOD = 60
# Maximum number of lines for requests of one code in a period.
MAX_LINES = 10
# The number of requests of one code in a period that is worth a line.
MANY = 100
# Maximum number of clients of one code that are counted apart in a period.
MAX_CLIENTS = 1000

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Refusals:
    """The refused requests of a process, counted by code and client in periods of a minute."""

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}

    def record(
        self, code: str, address: Address | None, logged: dict[str, str | None] | None = None
    ) -> None:
        """Count a refused request; with ``logged`` write a line, if there were not too many."""
        if not self._counts:
            asyncio.get_running_loop().call_later(PERIOD, self.summarise)
        count = self._counts.setdefault(code, _Count())
        count.add(address)
        if logged is not None and count.lines < MAX_LINES:
            count.lines += 1
            log.warning(code, **logged)
        elif logged is not None:
            count.has_suppressed = True

    def summarise(self) -> None:
        """Write a line for each code of which there were many, and begin a new period."""
        for code, count in self._counts.items():
            if count.has_suppressed or count.requests >= MANY:
                client, most = next(iter(count.clients.most_common(1)), (None, 0))
                log.warning(
                    "requests_refused",
                    code=code,
                    requests=count.requests,
                    most_from=client,
                    most=most,
                    seconds=PERIOD,
                )
        self._counts.clear()


class _Count:
    """The requests of one code in a period."""

    __slots__ = ("clients", "has_suppressed", "lines", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.lines = 0
        self.has_suppressed = False
        self.clients: Counter[str] = Counter()

    def add(self, address: Address | None) -> None:
        self.requests += 1
        client = _client(address)
        if client in self.clients or len(self.clients) < MAX_CLIENTS:
            self.clients[client] += 1


def _client(address: Address | None) -> str:
    """Return what counts as one client: an IPv4 address, or an IPv6 /64."""
    if isinstance(address, IPv6Address):
        return str(ip_network((address, 64), strict=False))
    return str(address)
