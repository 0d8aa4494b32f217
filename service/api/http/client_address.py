"""The client's address, behind reverse proxies too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

import structlog
from litestar.types import Scope

from service.model.request_context import Address
from service.settings.http import HTTPSettings

Network: TypeAlias = IPv4Network | IPv6Network

# Peers whose address has been parsed, and networks that a process has warned of.
MAX_KNOWN_PEERS = 1024
MAX_WARNINGS = 16

# name=value or name="value" (RFC 7239, section 4); a quoted value may contain `;`, `,` and `=`. A
# name is tried at its beginning only: at each of its characters, a long one would take seconds.
_PAIR = re.compile(rb"""(?<![!#-'*+.^-z|~\w-])([!#-'*+.^-z|~\w-]++)=("(?:[^"\\]|\\.)*"|[^";,]*)""")
# A longer element of `Forwarded` is not read, nor what is further left.
MAX_ELEMENT_LENGTH = 2048
# 192.0.2.1:4711, [2001:db8::1], [2001:db8::1]:4711: the address is in the first or second group.
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::[0-9]*)?|([0-9.]+):[0-9]*")

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class ClientAddresses:
    """Finds the client's address: the one that the outermost trusted proxy received from.

    Each proxy appends the address it received from, so the header is read from the right. What a
    client put into the header itself is further left than the first address that is not trusted.
    """

    def __init__(self, settings: HTTPSettings) -> None:
        self._trusted = settings.trusted_proxies
        self._header = settings.forwarded_header.encode()
        self._peer = lru_cache(MAX_KNOWN_PEERS)(self._parse_peer)

    def of(self, scope: Scope) -> Address | None:
        """Return the address of a request's client, if the connection has one."""
        client = scope["client"]
        if client is None:
            return None
        nearest, is_trusted = self._peer(client[0])
        if not is_trusted:
            return nearest
        for hop in self._hops(scope):
            if hop is None:
                break
            nearest = hop
            if not self._is_trusted(hop):
                break
        return nearest

    def untrusted_peer(self, scope: Scope) -> Address | None:
        """Return the address of the peer, if it is no trusted proxy."""
        client = scope["client"]
        if client is None:
            return None
        peer, is_trusted = self._peer(client[0])
        return None if is_trusted else peer

    def is_peer_trusted(self, scope: Scope) -> bool:
        """Return whether the peer is a trusted proxy, which sets forwarding headers itself."""
        client = scope["client"]
        return client is not None and self._peer(client[0])[1]

    def _parse_peer(self, text: str) -> tuple[Address | None, bool]:
        """Return the address of a peer, and whether it is a trusted proxy.

        On a Unix socket it has none: Granian names it "". The permissions of the socket say who
        can connect, so it is the proxy.
        """
        if not text:
            return None, True
        peer = _canonical(ip_address(text))
        return peer, self._is_trusted(peer)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)

    def _hops(self, scope: Scope) -> Iterator[Address | None]:
        """Iterate over the addresses in the header, nearest first; ``None`` for an invalid one.

        Empty elements of the list are ignored (RFC 9110, section 5.6.1).
        """
        values = [value for name, value in scope["headers"] if name == self._header]
        elements = b",".join(values)
        if self._header == b"forwarded":
            yield from (_forwarded_for(each) for each in _forwarded_elements(elements))
        else:
            parts = (part.strip() for part in reversed(elements.split(b",")))
            yield from (_parse_address(part) for part in parts if part)


class ForwardingWarning:
    """Warns of forwarding headers from peers that are no trusted proxies.

    Either ``OSTIARY_TRUSTED_PROXIES`` lacks the proxy, and all its clients share the rate limits
    of one address, or a client sends the header by itself. Each process warns once for a network,
    and of few networks.
    """

    def __init__(self, addresses: ClientAddresses) -> None:
        self._addresses = addresses
        self._warned: set[Network] = set()

    def check(self, scope: Scope) -> None:
        """Warn, unless the peer is trusted or the warning was given."""
        if len(self._warned) >= MAX_WARNINGS:
            return
        peer = self._addresses.untrusted_peer(scope)
        if peer is None:
            return
        prefix = 64 if isinstance(peer, IPv6Address) else 24
        network = ip_network((peer, prefix), strict=False)
        if network not in self._warned:
            self._warned.add(network)
            log.warning(
                "forwarding_header_ignored",
                peer=str(peer),
                remedy="If this is your reverse proxy, add it to OSTIARY_TRUSTED_PROXIES.",
            )


def _forwarded_elements(header: bytes) -> Iterator[bytes]:
    """Iterate over the elements of a ``Forwarded`` header, last first, without empty ones.

    A comma in a quoted string separates nothing. The header is read from the right: what a client
    put into it, an open quotation for example, must not change what a proxy appended. It ends at an
    element that is too long to be read.
    """
    element = b""
    for part in reversed(header.split(b",")):
        element = part + b"," + element if element else part
        if len(element) > MAX_ELEMENT_LENGTH:
            return
        if element.replace(b'\\"', b"").count(b'"') % 2 == 0:
            if element.strip():
                yield element
            element = b""


def _forwarded_for(element: bytes) -> Address | None:
    """Return the address in ``for`` of an element of ``Forwarded``."""
    for name, value in _PAIR.findall(element):
        if name.lower() == b"for":
            return _parse_address(value)
    return None


def _parse_address(part: bytes) -> Address | None:
    """Return an address, which may have quotes, brackets, a port and a zone.

    Others are unknown: ``unknown``, or an obfuscated identifier (RFC 7239, section 6).
    """
    text = part.decode("latin-1").strip().strip('"').strip()
    if with_port := _WITH_PORT.fullmatch(text):
        text = with_port[1] or with_port[2] or ""
    try:
        return _canonical(ip_address(text))
    except ValueError:
        return None


def _canonical(address: Address) -> Address:
    """Return an address without zone, and an IPv4-mapped one as IPv4.

    A zone has a meaning on one machine only, and may be any text (RFC 4007, section 11).
    """
    if not isinstance(address, IPv6Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address if address.scope_id is None else IPv6Address(int(address))
