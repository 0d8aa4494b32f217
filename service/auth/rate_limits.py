"""Rate limits on log-ins and sign-ups.

Failures count: an attempt is consumed before the password is verified, and refunded if the password
was right. So simultaneous guesses, in whatever process, cannot exceed a limit. An attempt that
finds no room but what attempts in flight have reserved waits for their outcome.

From an unknown device there is a limit for each address and one for each user name; when the name's
is used up, an address with no recent failure for the name still has one attempt. An attacker at
other addresses therefore needs a new address for each further guess. Attempts from a known device,
and checks of the current password in a session, have limits of their own, which other clients
cannot exhaust. Unknown names are treated like any other.

A user's name and address have limits of their own, as if they were of different users: otherwise a
refusal would tell whose address it is. What exceeds the limit of a user is admitted, and fails.

`docs/rate-limits.md` explains the buckets, and what they do not prevent.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from service.auth.audit import Event, record
from service.auth.buckets import bucket_of, networks_of
from service.auth.devices import DeviceToken
from service.auth.errors import (
    AccountDisabled,
    DatabaseUnavailable,
    InvalidChallenge,
    InvalidCredentials,
    InvalidInvitation,
    Overloaded,
    ProviderRefused,
    RateLimited,
    SecondFactorRequired,
    UnknownPasskey,
    ValidationFailed,
)
from service.auth.hashing.hasher import Hasher
from service.auth.identifiers import Identifier
from service.auth.uniform_timing import uniform_timing
from service.model.deadline import at_least, deadline
from service.model.request_context import RequestContext
from service.model.sessions import Session
from service.model.users import Key
from service.settings.rate_limits import RateLimitSettings
from service.settings.values import Rate
from service.storage import rate_limits as storage
from service.storage.database import Database
from service.storage.devices import find_user_of_device
from service.storage.direct import AnyConnection
from service.storage.log_in_attempts import LoginBuckets, attempt_log_in
from service.storage.rate_limits import Bucket, Charge, Consumption

# An attempt that waits for others looks again after this many seconds, then after twice as many,
# and so on. The others may be in another process.
FIRST_PAUSE = 0.02
MAX_PAUSE = 0.3

# How many attempts may wait for others, in each process, and how often all of them together look
# again, lest they keep the connections from those they wait for.
MAX_WAITING = 256
MAX_LOOKS_PER_SECOND = 100

# For how long an attempt counts as in flight beyond the time it may wait for a hash process: then
# its process has died.
RESERVATION_MARGIN = 5.0

# By how many seconds the limits of a user exceed those of what was typed: who always types the same
# meets these first, and is told.
MARGIN = 1.0

# What a refund is granted, in seconds, if the time of its request is over.
REFUND_TIME = 1.0


class Attempt(Struct, kw_only=True):
    """An attempt; once admitted it has charges, until it is settled.

    Buckets in ``kept`` count successes too. ``key`` is whose password is to be proven, by a log-in.
    """

    user_id: UUID | None = None
    kept: frozenset[bytes] = frozenset()
    charges: Sequence[Charge] = ()
    key: Key | None = None
    is_known_device: bool = False
    delay: float = 0
    is_settled: bool = False

    @property
    def refunds(self) -> list[Charge]:
        """The charges, with a refund of each."""
        return [replace(each, refunded=each.consumed) for each in self.charges]

    @property
    def success(self) -> list[Charge]:
        """The charges, with what a success refunds."""
        return [
            each if each.bucket in self.kept else replace(each, refunded=each.consumed)
            for each in self.charges
        ]


Consume = Callable[[AnyConnection], Awaitable[Consumption]]


class RateLimiter:
    """Limits attempts by buckets in ``database``.

    ``hasher`` knows how long refusals must take. An attempt waits for others in flight for at most
    ``timeout`` seconds. A device is known for ``device_lifetime`` seconds.
    """

    def __init__(
        self,
        database: Database,
        hasher: Hasher,
        limits: RateLimitSettings,
        *,
        timeout: float,
        device_lifetime: float,
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._limits = limits
        self._timeout = timeout
        self._reserved_for = timeout + limits.log_in_max_delay + RESERVATION_MARGIN
        self._device_lifetime = device_lifetime
        self._waiting = 0
        self._refunds: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait for what is still being given back, for `REFUND_TIME` at the most."""
        if self._refunds:
            await asyncio.wait(self._refunds, timeout=REFUND_TIME)

    @asynccontextmanager
    async def login_attempt(
        self,
        identifier: Identifier,
        context: RequestContext,
        *,
        device: DeviceToken | None,
    ) -> AsyncIterator[Attempt]:
        """Admit an attempt to prove the password of whom is meant, in the body of the context.

        It is admitted, or refused, whether there is such a user or not. One that exceeds what all
        names and addresses of a user have together is admitted without a key, so it must fail. A
        body that succeeds settles the attempt as a `success`, in the statement that opens the
        session for example; otherwise it is refunded at the end. It is refunded, too, when the body
        raises anything but `InvalidCredentials`. Refusals take equally long and are recorded.
        """
        buckets = self._login_buckets(identifier.name, context, device)

        attempt = Attempt(kept=frozenset({buckets.log_ins.id, buckets.device_log_ins.id}))

        async def consume(connection: AnyConnection) -> Consumption:
            consumed, key = await attempt_log_in(
                connection,
                buckets,
                username=identifier.username,
                address=identifier.address,
                device_hash=device.hash if device else None,
                device_lifetime=self._device_lifetime,
                reserved_for=self._reserved_for,
            )
            attempt.key = key if consumed.is_genuine else None
            attempt.user_id = key.user.id if key else None
            return consumed

        async with self._limited(
            attempt,
            consume,
            context,
            failures=buckets.failures,
            failed=Event.LOG_IN_FAILED,
            throttled=Event.LOG_IN_THROTTLED,
        ):
            yield attempt

    @asynccontextmanager
    async def password_check(
        self, session: Session, context: RequestContext
    ) -> AsyncIterator[None]:
        """Admit an attempt to prove the current password in a session.

        The session has a limit of its own: attempts elsewhere cannot keep its user from changing
        the password. It is refunded, refused and recorded as a log-in is.
        """
        bucket = bucket_of(
            self._limits.log_in_failures_per_device, "password in session", session.id.bytes
        )
        async with self._limited(
            Attempt(user_id=session.user_id),
            self._consume_all([bucket]),
            context,
            failures=None,
            failed=Event.PASSWORD_REFUSED,
            throttled=Event.PASSWORD_THROTTLED,
        ):
            yield

    @asynccontextmanager
    async def passkey_attempt(self, context: RequestContext) -> AsyncIterator[None]:
        """Admit a log-in by passkey in the body of the context, by its network.

        Only one that fails counts. It tells nothing about users, so it takes as long as it takes.
        Raises `RateLimited`, which is recorded.
        """
        async with self._nameless_attempt("passkey from", context):
            yield

    @asynccontextmanager
    async def provider_attempt(
        self, context: RequestContext, session: Session | None = None
    ) -> AsyncIterator[None]:
        """Admit what an account at a provider is to prove, as `passkey_attempt` does.

        ``session`` is the one in which it is linked, or proves the user again.
        """
        async with self._nameless_attempt("provider's answer from", context, session):
            yield

    @asynccontextmanager
    async def _nameless_attempt(
        self, kind: str, context: RequestContext, session: Session | None = None
    ) -> AsyncIterator[None]:
        user_id, session_id = (session.user_id, session.id) if session else (None, None)
        buckets = [
            bucket_of(self._limits.log_in_failures_per_address, kind, network, times=times)
            for network, times in networks_of(context.device.address)
        ]
        attempt = Attempt()
        try:
            await self._admit(attempt, self._consume_all(buckets))
        except RateLimited:
            record(Event.LOG_IN_THROTTLED, context, user_id=user_id, session_id=session_id)
            raise
        try:
            yield
        except (InvalidCredentials, InvalidChallenge, UnknownPasskey, ValidationFailed):
            await self._settle(attempt.charges)
            record(Event.LOG_IN_FAILED, context, user_id=user_id, session_id=session_id)
            raise
        except ProviderRefused:
            # Whoever has cancelled has not failed, but what was claimed is kept for a day.
            await self._settle(attempt.charges)
            raise
        except Exception:
            await self._refund(attempt.refunds)
            raise
        await self._refund(attempt.refunds)

    @asynccontextmanager
    async def sign_up_attempt(self, context: RequestContext) -> AsyncIterator[None]:
        """Admit a sign-up in the body of the context; it is refunded if the body fails.

        But not for an invalid invitation, which may be a guess. Raises `RateLimited`, which is
        recorded.
        """
        buckets = [
            bucket_of(self._limits.sign_ups_per_address, "sign-up from", network, times=times)
            for network, times in networks_of(context.device.address)
        ]
        attempt = Attempt()
        try:
            # It counts, successful or not, so other attempts do not wait for its outcome.
            await self._admit(attempt, self._consume_all(buckets, reserved_for=0))
        except RateLimited:
            record(Event.SIGN_UP_THROTTLED, context)
            raise
        try:
            yield
        except InvalidInvitation:
            raise
        except Exception:
            await self._refund(attempt.refunds)
            raise

    async def admit_mail_request(
        self,
        context: RequestContext,
        *,
        session: Session | None = None,
        device: DeviceToken | None = None,
    ) -> None:
        """Count a request at which the service mails something, whoever it is for.

        It is limited by network. A user has a limit of their own, in their sessions and on their
        known devices: one for each session would let them mail any number of strangers. Raises
        `RateLimited`, which is recorded.
        """
        buckets = await self._mail_request_buckets(context, session, device)
        user_id = None if session is None else session.user_id
        await self._admit_mail(buckets, context, user_id)

    async def admit_change(self, session: Session, context: RequestContext) -> None:
        """Count a change of the user name, or an export, successful or not.

        The user is told of each, however many there are, and each former name is held; neither
        costs more than a statement. All sessions of a user share the limit. Raises `RateLimited`,
        which is recorded.
        """
        rate, user_id = self._limits.mail_requests_per_address, session.user_id
        await self._admit_mail([bucket_of(rate, "change by", user_id.bytes)], context, user_id)

    async def _admit_mail(
        self, buckets: list[Bucket], context: RequestContext, user_id: UUID | None
    ) -> None:
        try:
            await self._admit(Attempt(), self._consume_all(buckets, reserved_for=0))
        except RateLimited:
            record(Event.MAIL_REQUEST_THROTTLED, context, user_id=user_id)
            raise

    async def _mail_request_buckets(
        self, context: RequestContext, session: Session | None, device: DeviceToken | None
    ) -> list[Bucket]:
        rate = self._limits.mail_requests_per_address
        user_id = None if session is None else session.user_id
        if user_id is None and device is not None:
            user_id = await self._database.with_retry(find_user_of_device, device.hash)
        if user_id is not None:
            return [bucket_of(rate, "mail requested by", user_id.bytes)]
        return [
            bucket_of(rate, "mail requested from", network, times=times)
            for network, times in networks_of(context.device.address)
        ]

    @asynccontextmanager
    async def _limited(  # noqa: PLR0913
        self,
        attempt: Attempt,
        consume: Consume,
        context: RequestContext,
        *,
        failures: Bucket | None,
        failed: Event,
        throttled: Event,
    ) -> AsyncIterator[None]:
        """Admit an attempt in the body, settle it, and record a refusal."""
        try:
            async with uniform_timing(self._hasher):
                await self._admit(attempt, consume)
                async with self._settling(attempt, failures):
                    if attempt.delay:
                        await asyncio.sleep(attempt.delay)
                    yield
        except InvalidCredentials:
            known = attempt.is_known_device
            record(failed, context, user_id=attempt.user_id, known_device=known)
            raise
        except RateLimited:
            record(throttled, context, user_id=attempt.user_id)
            raise

    @asynccontextmanager
    async def _settling(self, attempt: Attempt, failures: Bucket | None) -> AsyncIterator[None]:
        """Settle an attempt by the outcome of the body.

        Without an outcome, because the service stops for example, nothing is refunded.
        """
        try:
            yield
        except InvalidCredentials:
            if failures is None or attempt.is_known_device:
                await self._settle(attempt.charges)
            else:
                await self._settle_failure(attempt.charges, failures)
            raise
        except (SecondFactorRequired, AccountDisabled):
            await self._refund(attempt.success)
            raise
        except Exception:
            # Told nothing about the password.
            await self._refund(attempt.refunds)
            raise
        if not attempt.is_settled:
            await self._refund(attempt.success)

    async def _admit(self, attempt: Attempt, consume: Consume) -> None:
        """Consume an attempt; wait if there is no room but what attempts in flight have reserved.

        Raises `RateLimited`, and `Overloaded` if those have no outcome in time.
        """
        until = min(monotonic() + self._timeout, deadline())
        pause = FIRST_PAUSE
        while True:
            # May be executed twice, after a lost connection: what the first time consumed stays
            # reserved until it expires, and then counts as a failure. Never too much is allowed.
            consumed = await self._database.with_retry_direct(consume)
            if consumed.is_allowed:
                attempt.charges = consumed.charges
                attempt.is_known_device = consumed.is_known_device
                attempt.delay = self._delay(consumed)
                return
            if consumed.charges:
                await self._refund(Attempt(charges=consumed.charges).refunds)
            if not consumed.blocked_by_reservations:
                raise RateLimited(max(1, math.ceil(consumed.blocked_for)))
            await self._wait_for_others(pause, until)
            pause = min(2 * pause, MAX_PAUSE)

    async def _wait_for_others(self, pause: float, until: float) -> None:
        """Wait for a moment. Raises `Overloaded` if it would last too long, or too many wait."""
        seconds = time_to_next_look(pause, self._waiting + 1)
        if self._waiting >= MAX_WAITING or monotonic() + seconds > until:
            raise Overloaded
        self._waiting += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._waiting -= 1

    def _delay(self, consumed: Consumption) -> float:
        return 0 if consumed.is_known_device else consumed.pressure * self._limits.log_in_max_delay

    def _consume_all(self, buckets: list[Bucket], *, reserved_for: float | None = None) -> Consume:
        time = self._reserved_for if reserved_for is None else reserved_for

        async def consume(connection: AnyConnection) -> Consumption:
            return await storage.consume(connection, buckets, reserved_for=time)

        return consume

    async def _settle(self, charges: Sequence[Charge]) -> None:
        async with self._database.direct() as connection:
            await storage.settle(connection, charges)

    async def _refund(self, charges: Sequence[Charge]) -> None:
        """Settle charges that are given back, after the deadline too: no answer waits that long.

        Without a database they expire. What the attempt was for is done, or has its own error.
        """
        refund = asyncio.get_running_loop().create_task(self._refund_in_time(charges))
        self._refunds.add(refund)
        refund.add_done_callback(self._refunds.discard)
        left = deadline() - monotonic()
        await asyncio.wait([refund], timeout=None if left == math.inf else max(0.0, left))
        if refund.done():
            refund.result()

    async def _refund_in_time(self, charges: Sequence[Charge]) -> None:
        """Give an attempt back; without a database it expires."""
        with suppress(DatabaseUnavailable), at_least(REFUND_TIME):
            await self._settle(charges)

    async def _settle_failure(self, charges: Sequence[Charge], failures: Bucket) -> None:
        async with self._database.direct() as connection:
            await storage.settle_failure(connection, charges, failures)

    def _login_buckets(
        self, name: str, context: RequestContext, device: DeviceToken | None
    ) -> LoginBuckets:
        limits, user_name = self._limits, name.encode()
        networks = networks_of(context.device.address)
        per_name = limits.log_in_failures_per_name
        one_per_period = Rate(min(per_name.attempts, 1), per_name.period)
        per_address = limits.log_in_failures_per_address
        log_ins = limits.log_ins_per_name_and_address
        device_hash = device.hash if device else b""
        return LoginBuckets(
            networks=[
                bucket_of(per_address, "log-in from", network, times=times)
                for network, times in networks
            ],
            networks_and_name=[
                bucket_of(one_per_period, "log-in from and as", network, user_name, times=times)
                for network, times in networks
            ],
            name=bucket_of(per_name, "log-in as", user_name),
            networks_and_user=[
                _with_margin(bucket_of(one_per_period, "log-in from and of", network, times=times))
                for network, times in networks
            ],
            user=_with_margin(bucket_of(per_name, "log-in of")),
            log_ins=bucket_of(log_ins, "any log-in from and as", networks[0][0], user_name),
            device=bucket_of(limits.log_in_failures_per_device, "log-in on", device_hash),
            device_log_ins=bucket_of(log_ins, "any log-in on", device_hash, user_name),
            failures=bucket_of(limits.log_in_failures_total, "all log-ins"),
        )


def time_to_next_look(pause: float, waiting: int) -> float:
    """Return for how long one of so many attempts that wait sleeps, ``pause`` at least on average.

    They look at different times, not all at once.
    """
    return max(pause, waiting / MAX_LOOKS_PER_SECOND) * random.uniform(0.5, 1.5)  # noqa: S311


def _with_margin(bucket: Bucket) -> Bucket:
    """Return a bucket with room for the moments between its row and the one it follows."""
    return replace(bucket, burst_tolerance=bucket.burst_tolerance + MARGIN)
