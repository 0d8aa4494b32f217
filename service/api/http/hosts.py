"""The header ``Host``: which names the service answers to.

A page can let a name of its own resolve to an address of the service, and then counts as of the
same origin (DNS rebinding). It cannot choose an IP address or a loopback name as its host.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from service.settings.hosts import HostNames

# Values of `Host` whose decision is remembered.
MAX_KNOWN_HOSTS = 1024

# Maximum length of a value of `Host`: a name has at most 253 characters, its port five (RFC 1035).
MAX_LENGTH = 260

_HOST = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?P<port>:[0-9]*)?")


class AllowedHosts:
    """The rule for ``Host``. By default production allows any name, development no other."""

    def __init__(self, names: HostNames, *, is_production: bool) -> None:
        self._names = names
        self._any = "*" in names or (is_production and not names)
        self._allow = lru_cache(MAX_KNOWN_HOSTS)(self._decide)

    def allow(self, host: bytes) -> bool:
        """Return whether the service answers to a value of ``Host``, with or without a port."""
        # Longer ones are not remembered either: they would fill the memory.
        return len(host) <= MAX_LENGTH and self._allow(host)

    def _decide(self, host: bytes) -> bool:
        found = _HOST.fullmatch(host.decode("latin-1"))
        if found is None:
            return False
        if found["ipv6"] is not None:
            return _is_address(IPv6Address, found["ipv6"])
        name = found["name"].lower().removesuffix(".")
        return (
            self._any
            or name == "localhost"
            or name.endswith(".localhost")
            or self._names.include(name)
            or _is_address(IPv4Address, name)
        )


def loggable_host(host: bytes) -> str | None:
    """Return a value of ``Host`` for the log: only one that cannot be anything else.

    A bare word may be a secret in the wrong header.
    """
    text = host.decode("latin-1")
    is_host = _HOST.fullmatch(text) is not None and ("." in text or ":" in text)
    return text[:MAX_LENGTH] if is_host else None


def _is_address(kind: type[IPv4Address | IPv6Address], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True
