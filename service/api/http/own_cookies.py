"""The cookies of the service, which no other application is to see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# Before a name, by the meaning that browsers give to it (RFC 6265bis). Which of them is in use
# depends on the settings, and a browser may keep cookies from before they changed.
PREFIXES = ("", "__Host-", "__Secure-")

# How the names of cookies begin by which a browser completes what it began at a provider.
FLOW_COOKIE = "auth_flow"


class OwnCookies:
    """The names of the cookies of the service, with and without prefixes."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(f"{prefix}{name}".encode() for name in names for prefix in PREFIXES)
        self._flow_cookies = tuple(f"{prefix}{FLOW_COOKIE}".encode() for prefix in PREFIXES)

    def others_in(self, headers: Iterable[tuple[bytes, bytes]] | Any) -> bytes:
        """Return the other cookies of a request, as they are, as one value of ``Cookie``."""
        kept = []
        for name, value in headers:
            if name == b"cookie":
                pairs = [pair for pair in value.split(b";") if not self._is_own(pair)]
                if others := b";".join(pairs).strip():
                    kept.append(others)
        return b"; ".join(kept)

    def _is_own(self, pair: bytes) -> bool:
        name = pair.partition(b"=")[0].strip()
        return name in self._names or name.startswith(self._flow_cookies)
