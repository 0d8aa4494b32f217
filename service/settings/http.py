"""Reverse proxies and browsers."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from service.settings.values import ForwardedHeader, Networks, Origins


class HTTPSettings(Struct, frozen=True, kw_only=True):
    """Which proxies and which origins are trusted."""

    prefix: ClassVar[str] = ""

    trusted_proxies: Annotated[
        Networks,
        Meta(
            description="Trusted reverse proxies, addresses or CIDR, `10.0.0.0/8,2001:db8::1`. "
            "Forwarding headers from other peers are ignored."
        ),
    ] = Networks()
    forwarded_header: Annotated[
        ForwardedHeader,
        Meta(
            description="The header in which trusted proxies name the client, `x-forwarded-for` "
            "or `forwarded`. The proxy must set it; the other one is ignored, since a client "
            "could have sent it."
        ),
    ] = ForwardedHeader.X_FORWARDED_FOR
    allowed_origins: Annotated[
        Origins,
        Meta(
            description="Origins of the pages that may use the service from a browser, "
            "`https://app.example.com,https://…`. Its own origin is always allowed."
        ),
    ] = Origins()
