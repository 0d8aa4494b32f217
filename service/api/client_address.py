"""Where a request comes from, behind proxies too."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address
from re import compile as regular_expression

from litestar.types import Scope

from service.model import Address
from service.settings import ForwardedHeader, Networks

# for=192.0.2.1, for="[2001:db8::1]:4711" and the like (RFC 7239, section 4).
_FORWARDED_FOR = regular_expression(rb'(?i)(?:^|[;,\s])for="?\[?([0-9A-Fa-f.:]+)')


class ClientAddresses:
    """Finds the client's address: what the last proxy that is trusted says of who came to it.

    The header is read from the right, since everybody adds what they saw at its end: whatever a
    client has put there itself stands further left than the first address that is not trusted.
    """

    def __init__(self, trusted: Networks, header: ForwardedHeader) -> None:
        self._trusted = trusted
        self._header = header.encode()

    def of(self, scope: Scope) -> Address | None:
        client = scope["client"]
        if client is None:
            return None
        nearest = _without_mapping(ip_address(client[0]))
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
        """What the header lists, the nearest first; nothing in place of what is no address."""
        values = [value for name, value in scope["headers"] if name == self._header]
        for part in reversed(b",".join(values).split(b",")):
            yield _address_in(part, forwarded=self._header == b"forwarded")


def _address_in(part: bytes, *, forwarded: bool) -> Address | None:
    if forwarded:
        match = _FORWARDED_FOR.search(part)
        part = match[1] if match else b""
    text = part.decode("latin-1").strip()
    if text.count(":") == 1:  # an IPv4 address with a port
        text = text.partition(":")[0]
    try:
        return _without_mapping(ip_address(text))
    except ValueError:
        return None


def _without_mapping(address: Address) -> Address:
    """An IPv4 address that came over an IPv6 socket is an IPv4 address."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
