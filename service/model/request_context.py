"""The device and the id of a request."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

Address = IPv4Address | IPv6Address


class Device(Struct, frozen=True, kw_only=True):
    """What is stored of the client that opened a session, so that its user can recognise it."""

    user_agent: str | None = None
    address: Address | None = None
    name: str | None = None


class RequestContext(Struct, frozen=True, kw_only=True):
    """The device and the id of a request, for rate limits and the audit trail.

    ``service_token_id`` is that of the program which sent it, if one did.
    """

    device: Device = Device()
    request_id: str | None = None
    service_token_id: UUID | None = None

    def with_device_name(self, name: str) -> RequestContext:
        """Return the same context with the name that the client gave its device, if it did."""
        return replace(self, device=replace(self.device, name=name or None))
