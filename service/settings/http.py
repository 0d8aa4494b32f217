"""Reverse proxies and browsers."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from service.settings.hosts import HostNames
from service.settings.origins import Origins
from service.settings.values import ForwardedHeader, HeaderNames, Networks

# What scripts send beside what the service reads: headers that browsers let every page set, of
# caches, of libraries that mark their requests, and of distributed tracing (W3C Trace Context and
# Baggage, Sentry, Zipkin, Datadog, New Relic, Application Insights).
COMMON_HEADERS = HeaderNames.parse(
    "accept, accept-language, authorization, cache-control, content-language, content-type, "
    "idempotency-key, if-match, if-modified-since, if-none-match, pragma, range, "
    "x-correlation-id, x-csrf-token, x-request-id, x-requested-with, "
    "traceparent, tracestate, baggage, sentry-trace, "
    "b3, x-b3-flags, x-b3-parentspanid, x-b3-sampled, x-b3-spanid, x-b3-traceid, "
    "x-datadog-origin, x-datadog-parent-id, x-datadog-sampling-priority, x-datadog-tags, "
    "x-datadog-trace-id, newrelic, request-context, request-id"
)
# The value of `hsts` without the header.
HSTS_OFF = "off"


class HTTPSettings(Struct, frozen=True, kw_only=True):
    """Which hosts, proxies and origins are trusted, and what browsers are told."""

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
    allowed_hosts: Annotated[
        HostNames,
        Meta(
            description="Names that requests may have in `Host`, `auth.example.com` or "
            "`*.example.com`; `*` is any. Loopback names and IP addresses are always allowed. "
            "Default: no others in development, against DNS rebinding; any in production, where "
            "the proxy passes on known hosts only."
        ),
    ] = HostNames()
    allowed_origins: Annotated[
        Origins,
        Meta(
            description="Origins of the pages and applications that may use the service from a "
            "browser, `https://app.example.com,capacitor://localhost,…`. Its own origin is always "
            "allowed."
        ),
    ] = Origins()
    cors_allowed_headers: Annotated[
        HeaderNames,
        Meta(
            description="Request headers that pages of allowed origins may send. The service reads "
            "`Authorization`, `Content-Type` and, for its log, `traceparent`; others are ignored."
        ),
    ] = COMMON_HEADERS
    hsts: Annotated[
        str,
        Meta(
            description="`Strict-Transport-Security` in production, "
            "`max-age=31536000; includeSubDomains` for example; `off` sends none.",
            pattern=r"^(off|max-age=[0-9]{1,10}(; ?includeSubDomains)?(; ?preload)?)\Z",
        ),
    ] = "max-age=31536000"
