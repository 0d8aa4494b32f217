"""Buckets: a rate limit for a subject, which is known by its digest only; networks are subjects."""

from __future__ import annotations

from hashlib import sha256
from ipaddress import IPv6Address

from service.model.request_context import Address
from service.settings.values import Rate
from service.storage.rate_limits import Bucket

# Prefix lengths of the IPv6 networks that are limited, and how many times the attempts of an
# address each of them has: a subscriber's network, a subscriber's site, an organisation's (RFC
# 6177).
IPV6_NETWORKS = ((64, 1), (56, 2), (48, 3))

# Without a limit an attempt moves a bucket by nothing. The tolerance covers a clock that is set
# back.
UNLIMITED = {"emission_interval": 0.0, "burst_tolerance": 86400.0}


def bucket_of(rate: Rate, *subject: str | bytes, times: int = 1) -> Bucket:
    """Return the bucket of a subject that has ``times`` the attempts of a rate."""
    if not rate.attempts:
        return Bucket(id=_digest(*subject), **UNLIMITED)
    emission_interval = rate.period / (rate.attempts * times)
    return Bucket(
        id=_digest(*subject),
        emission_interval=emission_interval,
        burst_tolerance=rate.period - emission_interval,
    )


def _digest(*parts: str | bytes) -> bytes:
    """Return the SHA-256 of the parts: a name is not stored, it may be a misplaced password."""
    encoded = [part.encode() if isinstance(part, str) else part for part in parts]
    return sha256(b"".join(len(part).to_bytes(4) + part for part in encoded)).digest()


def networks_of(address: Address | None) -> list[tuple[bytes, int]]:
    """Return the networks of an address, smallest first, and how many addresses each counts as."""
    if isinstance(address, IPv6Address):
        return [(address.packed[: length // 8], times) for length, times in IPV6_NETWORKS]
    return [(address.packed if address is not None else b"", 1)]
