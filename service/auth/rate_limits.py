"""Rate limits on log-ins and sign-ups.

Only failures count: an attempt is consumed before the password is verified, and refunded if the
password was right. So simultaneous guesses, in whatever process, cannot exceed a limit. There is a
limit for each address and one for each user name; when the name's is used up, an address with no
recent failure for the name still has one attempt. An attacker at other addresses therefore needs a
new address for each further guess. Unknown names are treated like any other.

`docs/rate-limits.md` explains the buckets, and what they do not prevent.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from hashlib import sha256
from ipaddress import IPv6Address
from uuid import UUID

from service.auth.audit import Event, record
from service.auth.errors import InvalidCredentials, Overloaded, RateLimited
from service.auth.hashing.hasher import Hasher
from service.auth.uniform_timing import uniform_timing
from service.model.deadline import at_least
from service.model.request_context import Address, RequestContext
from service.settings.rate_limits import RateLimitSettings
from service.settings.values import Rate
from service.storage import rate_limits as storage
from service.storage.database import Database
from service.storage.rate_limits import Bucket, LimitExceeded, LoginBuckets

# Seconds for the refund of an attempt that waited until the deadline of its request.
REFUND_TIME = 1.0

# Prefix lengths: an IPv6 network, and a site, which holds 65,536 networks (RFC 6177).
IPV6_NETWORK = 64
IPV6_SITE = 48

# Without a limit an attempt moves a bucket by nothing. The tolerance covers a clock that is set
# back.
UNLIMITED = {"emission_interval": 0.0, "burst_tolerance": 86400.0}


class RateLimiter:
    """Limits attempts by buckets in ``database``. ``hasher`` knows how long refusals must take."""

    def __init__(self, database: Database, hasher: Hasher, limits: RateLimitSettings) -> None:
        self._database = database
        self._hasher = hasher
        self._limits = limits

    @asynccontextmanager
    async def login_attempt(
        self,
        name: str,
        context: RequestContext,
        *,
        user_id: UUID | None,
        failed: Event = Event.LOG_IN_FAILED,
        throttled: Event = Event.LOG_IN_THROTTLED,
    ) -> AsyncIterator[None]:
        """Admit an attempt to prove the password of ``name`` in the body of the context.

        The attempt is refunded when the body succeeds or raises `Overloaded`. Refusals take equally
        long and are recorded: `InvalidCredentials`, which the body raises, as ``failed``, and
        `RateLimited`, which is raised here, as ``throttled``.
        """
        try:
            async with uniform_timing(self._hasher):
                buckets = await self._consume_login(self._login_buckets(name, context))
                try:
                    yield
                except Overloaded:
                    await self._refund(buckets)
                    raise
            await self._refund(buckets)
        except InvalidCredentials:
            record(failed, context, user_id=user_id)
            raise
        except RateLimited:
            record(throttled, context, user_id=user_id)
            raise

    @asynccontextmanager
    async def sign_up_attempt(self, context: RequestContext) -> AsyncIterator[None]:
        """Admit a sign-up in the body of the context; `Overloaded` refunds it.

        Raises `RateLimited`, which is recorded.
        """
        network = _network(context.device.address, IPV6_NETWORK)
        bucket = _bucket(self._limits.sign_ups_per_address, "sign-up from", network)
        try:
            buckets = await self._consume(bucket)
        except RateLimited:
            record(Event.SIGN_UP_THROTTLED, context)
            raise
        try:
            yield
        except Overloaded:
            await self._refund(buckets)
            raise

    async def _consume_login(self, buckets: LoginBuckets) -> list[Bucket]:
        async with self._database.connect() as connection:
            return await _translating_limits(storage.consume_login(connection, buckets))

    async def _consume(self, bucket: Bucket) -> list[Bucket]:
        async with self._database.connect() as connection:
            return await _translating_limits(storage.consume(connection, bucket))

    async def _refund(self, buckets: list[Bucket]) -> None:
        with at_least(REFUND_TIME):
            async with self._database.connect() as connection:
                await storage.refund(connection, buckets)

    def _login_buckets(self, name: str, context: RequestContext) -> LoginBuckets:
        network = _network(context.device.address, IPV6_NETWORK)
        site = _network(context.device.address, IPV6_SITE)
        per_name = self._limits.log_in_failures_per_name
        one_per_period = Rate(min(per_name.attempts, 1), per_name.period)
        return LoginBuckets(
            address=_bucket(self._limits.log_in_failures_per_address, "log-in from", network),
            address_and_name=_bucket(one_per_period, "log-in from and as", site, name.encode()),
            name=_bucket(per_name, "log-in as", name.encode()),
        )


def _bucket(rate: Rate, *subject: str | bytes) -> Bucket:
    if not rate.attempts:
        return Bucket(id=_digest(*subject), **UNLIMITED)
    emission_interval = rate.period / rate.attempts
    return Bucket(
        id=_digest(*subject),
        emission_interval=emission_interval,
        burst_tolerance=rate.period - emission_interval,
    )


def _digest(*parts: str | bytes) -> bytes:
    """Return the SHA-256 of the parts: a name is not stored, it may be a misplaced password."""
    encoded = [part.encode() if isinstance(part, str) else part for part in parts]
    return sha256(b"".join(len(part).to_bytes(4) + part for part in encoded)).digest()


def _network(address: Address | None, ipv6_prefix_length: int) -> bytes:
    if isinstance(address, IPv6Address):
        return address.packed[: ipv6_prefix_length // 8]
    return address.packed if address is not None else b""


async def _translating_limits(consumed: Awaitable[list[Bucket]]) -> list[Bucket]:
    try:
        return await consumed
    except LimitExceeded as error:
        raise RateLimited(max(1, math.ceil(error.retry_after))) from error
