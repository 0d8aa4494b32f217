"""The client's address, behind reverse proxies too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address

from litestar.types import Scope

from service.model.request_context import Address
from service.settings.http import HTTPSettings

# for=192.0.2.1, for="[2001:db8::1]:4711" and the like (RFC 7239, section 4).
_FORWARDED_FOR = re.compile(rb'(?i)(?:^|[;,\s])for="?\[?([0-9A-Fa-f.:]+)')


class ClientAddresses:
    """Finds the client's address: the one that the outermost trusted proxy received from.

    Each proxy appends the address it received from, so the header is read from the right. What a
    client put into the header itself is further left than the first address that is not trusted.
    """

    def __init__(self, settings: HTTPSettings) -> None:
        self._trusted = settings.trusted_proxies
        self._header = settings.forwarded_header.encode()

    def of(self, scope: Scope) -> Address | None:
        """Return the address of a request's client, if the connection has one."""
        client = scope["client"]
        if client is None:
            return None
        nearest = _unmapped(ip_address(client[0]))
        if not self._is_trusted(nearest):
            return nearest
        for hop in self._hops(scope):
            if hop is None:
                break
            nearest = hop
            if not self._is_trusted(hop):
                break
        return nearest

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)

    def _hops(self, scope: Scope) -> Iterator[Address | None]:
        """Iterate over the addresses in the header, nearest first; ``None`` for an invalid one."""
        values = [value for name, value in scope["headers"] if name == self._header]
        for part in reversed(b",".join(values).split(b",")):
            yield _parse_address(part, forwarded=self._header == b"forwarded")


def _parse_address(part: bytes, *, forwarded: bool) -> Address | None:
    if forwarded:
        match = _FORWARDED_FOR.search(part)
        part = match[1] if match else b""
    text = part.decode("latin-1").strip()
    if text.count(":") == 1:  # an IPv4 address with a port
        text = text.partition(":")[0]
    try:
        return _unmapped(ip_address(text))
    except ValueError:
        return None


def _unmapped(address: Address) -> Address:
    """Return the IPv4 address in an IPv4-mapped IPv6 address; any other as it is."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
