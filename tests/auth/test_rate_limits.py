"""How attempts wait, and slow down, as far as HTTP does not show it without waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from ipaddress import ip_address
from uuid import UUID

import pytest

from service.auth import rate_limits
from service.auth.devices import DeviceToken
from service.auth.errors import InvalidCredentials, Overloaded, RateLimited
from service.auth.hashing.hasher import Hasher
from service.auth.rate_limits import (
    FIRST_PAUSE,
    MAX_LOOKS_PER_SECOND,
    MAX_WAITING,
    RateLimiter,
    time_to_next_look,
)
from service.model.deadline import start_deadline
from service.model.request_context import Device, RequestContext
from service.settings.database import DatabaseOptions
from service.settings.passwords import Argon2Cost, HashingSettings
from service.settings.rate_limits import RateLimitSettings
from service.settings.values import Duration, Rate
from service.storage.database import Database
from service.storage.errors import StatementRefused
from tests.databases import (
    TERMINATE_ALL_OTHERS,
    execute,
    fetch_value,
    held,
    locked,
    wait_for_lock_waiters,
    wait_until,
)
from tests.services import PATIENCE

ALICE = UUID(int=1)
TOKEN = DeviceToken.issue()

LIMITS = RateLimitSettings(
    log_in_failures_per_address=Rate.parse("20/10m"),
    log_in_failures_total=Rate.parse("10/10m"),
    log_in_max_delay=Duration.parse("8s"),
)


@pytest.fixture
async def hasher() -> AsyncIterator[Hasher]:
    hasher = Hasher(Argon2Cost(time_cost=1, memory_kib=64), HashingSettings(), processes=1)
    yield hasher
    await hasher.close()


@pytest.fixture
def limiter(database: Database, hasher: Hasher) -> RateLimiter:
    return RateLimiter(database, hasher, LIMITS, timeout=PATIENCE, device_lifetime=3600)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return found


@pytest.fixture
async def known_device(database_url: str) -> DeviceToken:
    add = """
    WITH u AS (INSERT INTO "user" (id) VALUES ($1) RETURNING id),
    k AS (
        INSERT INTO key (provider, name, display_name, user_id)
        SELECT 'username', 'alice', 'Alice', id FROM u
    )
    INSERT INTO device (hash, user_id) SELECT $2, id FROM u
    """
    await asyncio.to_thread(execute, database_url, add, ALICE, TOKEN.hash)
    return TOKEN


async def attempt(
    limiter: RateLimiter,
    address: str,
    name: str,
    *,
    device: DeviceToken | None = None,
    error: type[Exception] | None = InvalidCredentials,
) -> None:
    """Fail to log in, or succeed if there is no ``error``."""
    context = RequestContext(device=Device(address=ip_address(address)))
    async with limiter.login_attempt(name, context, device=device):
        if error is not None:
            raise error


async def fail(
    limiter: RateLimiter, address: str, name: str, device: DeviceToken | None = None
) -> bool:
    """Fail to log in. Returns whether there was an attempt."""
    try:
        await attempt(limiter, address, name, device=device)
    except RateLimited:
        return False
    except InvalidCredentials:
        return True
    return False


def delays(slept: list[float]) -> list[float]:
    """Return the delays; refusals sleep too, until verifying would be over."""
    found = [each for each in slept if each > 0]
    slept.clear()
    return found


async def test_failures_of_all_users_slow_further_attempts_down(
    limiter: RateLimiter, slept: list[float]
) -> None:
    """The delay grows with the failures in excess of their limit, up to a maximum."""
    for n in range(10):
        assert await fail(limiter, f"203.0.113.{n}", f"name{n}")
    assert delays(slept) == []
    for n in range(30):
        assert await fail(limiter, f"198.51.100.{n}", f"name{n}")
    found = delays(slept)
    growing = [0.8 * number for number in range(1, 10)]
    assert found == pytest.approx([*growing, *[8] * 21], abs=0.1)


async def exceed(limiter: RateLimiter, database_url: str, *, excess: float) -> None:
    """Make the failures of all users exceed their limit by this part of a period."""
    await fail(limiter, "203.0.113.1", "name")
    statement = "UPDATE rate_limit SET tat = now() + make_interval(secs => 540 + 600 * $1)"
    await asyncio.to_thread(execute, database_url, statement, excess)


async def test_failures_of_all_users_make_attempts_more_expensive(
    limiter: RateLimiter, database_url: str, slept: list[float]
) -> None:
    await exceed(limiter, database_url, excess=1)
    assert [await fail(limiter, "198.51.100.1", f"name{n}") for n in range(3)] == [
        *(True, True, False)
    ]
    assert delays(slept)[-2:] == [pytest.approx(8, abs=0.1), pytest.approx(8, abs=0.1)]


async def test_known_devices_are_neither_slowed_down_nor_charged(
    limiter: RateLimiter, database_url: str, slept: list[float], known_device: DeviceToken
) -> None:
    await exceed(limiter, database_url, excess=1)
    slept.clear()
    for _ in range(5):
        assert await fail(limiter, "198.51.100.1", "alice", known_device)
    assert delays(slept) == []


async def test_failures_on_known_devices_do_not_slow_others_down(
    limiter: RateLimiter, slept: list[float], known_device: DeviceToken, database_url: str
) -> None:
    more_names = """
    INSERT INTO key (provider, name, display_name, user_id)
    SELECT 'username', 'name' || n, 'Name', $1 FROM generate_series(0, 39) AS n
    """
    await asyncio.to_thread(execute, database_url, more_names, ALICE)
    for n in range(40):
        assert await fail(limiter, "198.51.100.1", f"name{n}", known_device)
    for n in range(3):
        assert await fail(limiter, f"203.0.113.{n}", "alice")
    assert delays(slept) == []


async def test_a_success_is_not_counted_among_the_failures_of_all_users(
    limiter: RateLimiter, slept: list[float]
) -> None:
    for n in range(15):
        await attempt(limiter, f"203.0.113.{n}", "alice", error=None)
    assert delays(slept) == []


@pytest.mark.parametrize("error", [Overloaded, RuntimeError])
async def test_an_attempt_whose_password_was_not_verified_is_refunded(
    limiter: RateLimiter, database_url: str, error: type[Exception]
) -> None:
    """Whatever the reason: a full queue, a hash process that died, a database that is gone."""
    for _ in range(25):
        with pytest.raises(error):
            await attempt(limiter, "192.0.2.1", "alice", error=error)
    left = "SELECT count(*) FROM rate_limit WHERE tat > now() + interval '1 second'"
    assert await asyncio.to_thread(fetch_value, database_url, left) == 0
    assert await fail(limiter, "192.0.2.1", "alice")


async def test_an_attempt_that_waits_in_vain_is_refused_for_overload(
    database: Database, hasher: Hasher
) -> None:
    once = RateLimitSettings(log_in_failures_per_address=Rate.parse("1/10m"))
    limiter = RateLimiter(database, hasher, once, timeout=0, device_lifetime=3600)
    context = RequestContext(device=Device(address=ip_address("192.0.2.1")))
    async with limiter.login_attempt("alice", context, device=None):
        with pytest.raises(Overloaded):
            await attempt(limiter, "192.0.2.1", "bobby")


async def test_no_attempt_waits_beyond_the_deadline_of_its_request(
    database: Database, hasher: Hasher, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "time_to_next_look", lambda *_: 2 * PATIENCE)
    once = RateLimitSettings(log_in_failures_per_address=Rate.parse("1/10m"))
    limiter = RateLimiter(database, hasher, once, timeout=3 * PATIENCE, device_lifetime=3600)
    context = RequestContext(device=Device(address=ip_address("192.0.2.1")))
    start_deadline(PATIENCE)
    async with limiter.login_attempt("alice", context, device=None):
        with pytest.raises(Overloaded):
            await attempt(limiter, "192.0.2.1", "bobby")
    assert 2 * PATIENCE not in slept


async def test_what_an_attempt_consumed_that_loses_its_room_is_refunded(
    database: Database, database_url: str, hasher: Hasher
) -> None:
    limits = RateLimitSettings(log_in_failures_per_name=Rate.parse("1/1h"))
    limiter = RateLimiter(database, hasher, limits, timeout=PATIENCE, device_lifetime=3600)
    await attempt(limiter, "192.0.2.1", "alice", error=None)
    context = RequestContext(device=Device(address=ip_address("192.0.2.1")))
    buckets = limiter._login_buckets("alice", context, None)
    lost = ", ".join(rf"'\x{each.id.hex()}'" for each in (buckets.name, *buckets.networks_and_name))
    used_up = f"UPDATE rate_limit SET tat = now() + interval '1h' WHERE bucket IN ({lost})"
    with held(database_url, used_up, end="COMMIT"):
        losing = asyncio.create_task(attempt(limiter, "192.0.2.1", "alice"))
        await asyncio.to_thread(wait_for_lock_waiters, database_url)
    with pytest.raises(RateLimited):
        await losing
    consumed = "SELECT tat > now() + interval '1 second' FROM rate_limit WHERE bucket = $1"
    assert not fetch_value(database_url, consumed, buckets.networks[0].id)


async def test_no_more_attempts_wait_than_may(
    database: Database, hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "MAX_WAITING", 1)
    once = RateLimitSettings(log_in_failures_per_address=Rate.parse("1/10m"))
    limiter = RateLimiter(database, hasher, once, timeout=PATIENCE, device_lifetime=3600)
    context = RequestContext(device=Device(address=ip_address("192.0.2.1")))
    sleeping, woken = asyncio.Event(), asyncio.Event()

    async def sleep(_: float) -> None:
        assert not sleeping.is_set(), "two attempts wait"
        sleeping.set()
        await woken.wait()

    monkeypatch.setattr(asyncio, "sleep", sleep)
    for _ in range(2):
        async with limiter.login_attempt("alice", context, device=None):
            waiting = asyncio.create_task(attempt(limiter, "192.0.2.1", "bobby", error=None))
            waits = asyncio.create_task(sleeping.wait())
            await asyncio.wait([waits, waiting], return_when=asyncio.FIRST_COMPLETED)
            with pytest.raises(Overloaded):
                await attempt(limiter, "192.0.2.1", "carol")
        woken.set()
        await waiting
        sleeping.clear()
        woken.clear()


@pytest.mark.parametrize("waiting", [1, 20, MAX_WAITING])
def test_attempts_that_wait_leave_the_database_to_others(waiting: int) -> None:
    """However many wait, together they look again so many times in a second at most."""
    times = [time_to_next_look(FIRST_PAUSE, waiting) for _ in range(1000)]
    assert len(set(times)) > 1
    mean = sum(times) / len(times)
    assert waiting / mean < 1.1 * MAX_LOOKS_PER_SECOND


async def test_a_reservation_ends_with_the_failure(database: Database, hasher: Hasher) -> None:
    """Who comes later is refused at once."""
    once = RateLimitSettings(log_in_failures_per_address=Rate.parse("1/10m"))
    limiter = RateLimiter(database, hasher, once, timeout=0, device_lifetime=3600)
    assert await fail(limiter, "192.0.2.1", "alice")
    with pytest.raises(RateLimited) as refusal:
        await attempt(limiter, "192.0.2.1", "alice")
    assert 590 < refusal.value.retry_after <= 600


async def sign_up_when_allowed(limiter: RateLimiter, context: RequestContext) -> None:
    while True:
        with suppress(RateLimited):
            async with limiter.sign_up_attempt(context):
                return
        await asyncio.sleep(0.01)


async def test_an_attempt_without_outcome_is_given_back_after_the_deadline_of_its_request(
    database: Database, hasher: Hasher
) -> None:
    limits = RateLimitSettings(
        log_in_failures_per_name=Rate.parse("1/1h"), sign_ups_per_address=Rate.parse("1/1h")
    )
    limiter = RateLimiter(database, hasher, limits, timeout=PATIENCE, device_lifetime=3600)
    context = RequestContext(device=Device(address=ip_address("203.0.113.7")))
    start_deadline(PATIENCE)
    with pytest.raises(Overloaded):
        async with limiter.login_attempt("alice", context, device=None):
            start_deadline(0)
            raise Overloaded
    start_deadline(PATIENCE)
    with pytest.raises(Overloaded):
        async with limiter.sign_up_attempt(context):
            start_deadline(0)
            raise Overloaded
    start_deadline(PATIENCE)
    # The refund does not keep the answer waiting.
    await sign_up_when_allowed(limiter, context)
    assert await fail(limiter, "203.0.113.7", "alice")


async def test_an_attempt_that_cannot_be_given_back_ends_with_its_own_error(
    limiter: RateLimiter, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "REFUND_TIME", 0.01)
    context = RequestContext(device=Device(address=ip_address("192.0.2.1")))
    with ExitStack() as locks, pytest.raises(Overloaded):
        async with limiter.login_attempt("alice", context, device=None):
            locks.enter_context(locked(database_url, "rate_limit"))
            start_deadline(0)
            raise Overloaded


async def test_a_defect_of_a_refund_is_not_hidden(limiter: RateLimiter, database_url: str) -> None:
    context = RequestContext(device=Device(address=ip_address("192.0.2.1")))
    refused = "ALTER TABLE rate_limit ADD CHECK (reserved > '0') NOT VALID"
    with pytest.raises(StatementRefused):
        async with limiter.login_attempt("alice", context, device=None):
            await asyncio.to_thread(execute, database_url, refused)
            raise Overloaded


async def test_an_attempt_is_tried_again_if_its_connection_was_cut(
    limiter: RateLimiter, database_url: str
) -> None:
    await attempt(limiter, "192.0.2.1", "alice", error=None)
    # The event loop waits meanwhile: the service cannot know yet.
    execute(database_url, TERMINATE_ALL_OTHERS)
    await attempt(limiter, "192.0.2.1", "alice", error=None)


async def test_an_answer_does_not_wait_for_a_refund_beyond_its_deadline(
    database_url: str, hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it did, the refund would be over before the lock is."""
    monkeypatch.setattr(rate_limits, "REFUND_TIME", PATIENCE)
    patient = Duration.parse(f"{PATIENCE}s")
    database = Database(database_url, DatabaseOptions(statement_timeout=patient))
    limiter = RateLimiter(database, hasher, LIMITS, timeout=PATIENCE, device_lifetime=3600)
    with ExitStack() as stack:
        with pytest.raises(Overloaded):
            async with limiter.sign_up_attempt(RequestContext(device=Device())):
                await asyncio.to_thread(stack.enter_context, locked(database_url, "rate_limit"))
                start_deadline(0)
                raise Overloaded
        await asyncio.to_thread(wait_for_lock_waiters, database_url)
        await asyncio.to_thread(stack.close)
    used = "EXISTS (SELECT FROM rate_limit WHERE tat > clock_timestamp())"
    await asyncio.to_thread(wait_until, database_url, f"NOT {used}")
    await database.close()
