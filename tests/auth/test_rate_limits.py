"""How attempts wait, and slow down, as far as HTTP does not show it without waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, suppress
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import ip_address
from uuid import UUID

import pytest

from service.auth import rate_limits
from service.auth.devices import DeviceToken
from service.auth.errors import (
    AccountDisabled,
    InvalidCredentials,
    Overloaded,
    RateLimited,
    SecondFactorRequired,
)
from service.auth.identifiers import Identifier
from service.auth.rate_limits import (
    FIRST_PAUSE,
    MAX_LOOKS_PER_SECOND,
    MAX_WAITING,
    RateLimiter,
    time_to_next_look,
)
from service.bootstrap import open_services
from service.model.deadline import start_deadline
from service.model.request_context import Device, RequestContext
from service.settings.rate_limits import RateLimitSettings
from service.settings.values import Duration, Rate
from service.settings.variables import read_settings
from service.storage.errors import StatementRefused
from tests.attack_patterns import session
from tests.auth.conftest import MakeLimiter
from tests.databases import (
    TERMINATE_ALL_OTHERS,
    TestServer,
    execute,
    fetch_value,
    held,
    locked,
    name_of,
    wait_for_lock_waiters,
    wait_until,
)
from tests.services import FRUGAL, PATIENCE

ALICE = UUID(int=1)
TOKEN = DeviceToken.issue()

LIMITS = RateLimitSettings(
    log_in_failures_per_address=Rate.parse("20/10m"),
    log_in_failures_total=Rate.parse("10/10m"),
    log_in_max_delay=Duration.parse("8s"),
)


@pytest.fixture
def limiter(make_limiter: MakeLimiter) -> RateLimiter:
    return make_limiter(LIMITS)


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
    async with limiter.login_attempt(Identifier.parse(name), context, device=device):
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
    more_users = """
    WITH listed AS (SELECT n, gen_random_uuid() AS id FROM generate_series(0, 39) AS n),
    u AS (INSERT INTO "user" (id) SELECT id FROM listed),
    d AS (INSERT INTO device (hash, user_id) SELECT $1, id FROM listed)
    INSERT INTO key (provider, name, display_name, user_id)
    SELECT 'username', 'name' || n, 'Name', id FROM listed
    """
    await asyncio.to_thread(execute, database_url, more_users, TOKEN.hash)
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
    make_limiter: MakeLimiter,
) -> None:
    once = RateLimitSettings(log_in_failures_per_address=Rate.parse("1/10m"))
    limiter = make_limiter(once, timeout=0)
    context = RequestContext(device=Device(address=ip_address("192.0.2.1")))
    async with limiter.login_attempt(Identifier.parse("alice"), context, device=None):
        with pytest.raises(Overloaded):
            await attempt(limiter, "192.0.2.1", "bobby")


async def test_no_attempt_waits_beyond_the_deadline_of_its_request(
    make_limiter: MakeLimiter, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "time_to_next_look", lambda *_: 2 * PATIENCE)
    once = RateLimitSettings(log_in_failures_per_address=Rate.parse("1/10m"))
    limiter = make_limiter(once, timeout=3 * PATIENCE)
    context = RequestContext(device=Device(address=ip_address("192.0.2.1")))
    start_deadline(PATIENCE)
    async with limiter.login_attempt(Identifier.parse("alice"), context, device=None):
        with pytest.raises(Overloaded):
            await attempt(limiter, "192.0.2.1", "bobby")
    assert 2 * PATIENCE not in slept


async def test_what_an_attempt_consumed_that_loses_its_room_is_refunded(
    database_url: str, make_limiter: MakeLimiter
) -> None:
    limits = RateLimitSettings(log_in_failures_per_name=Rate.parse("1/1h"))
    limiter = make_limiter(limits)
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
    make_limiter: MakeLimiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "MAX_WAITING", 1)
    once = RateLimitSettings(log_in_failures_per_address=Rate.parse("1/10m"))
    limiter = make_limiter(once)
    context = RequestContext(device=Device(address=ip_address("192.0.2.1")))
    sleeping, woken = asyncio.Event(), asyncio.Event()

    async def sleep(_: float) -> None:
        assert not sleeping.is_set(), "two attempts wait"
        sleeping.set()
        await woken.wait()

    monkeypatch.setattr(asyncio, "sleep", sleep)
    for _ in range(2):
        async with limiter.login_attempt(Identifier.parse("alice"), context, device=None):
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


async def test_a_reservation_ends_with_the_failure(make_limiter: MakeLimiter) -> None:
    """Who comes later is refused at once."""
    once = RateLimitSettings(log_in_failures_per_address=Rate.parse("1/10m"))
    limiter = make_limiter(once, timeout=0)
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
    make_limiter: MakeLimiter,
) -> None:
    limits = RateLimitSettings(
        log_in_failures_per_name=Rate.parse("1/1h"), sign_ups_per_address=Rate.parse("1/1h")
    )
    limiter = make_limiter(limits)
    context = RequestContext(device=Device(address=ip_address("203.0.113.7")))
    start_deadline(PATIENCE)
    with pytest.raises(Overloaded):
        async with limiter.login_attempt(Identifier.parse("alice"), context, device=None):
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
        async with limiter.login_attempt(Identifier.parse("alice"), context, device=None):
            locks.enter_context(locked(database_url, "rate_limit"))
            start_deadline(0)
            raise Overloaded


def question() -> SecondFactorRequired:
    return SecondFactorRequired(
        challenge_token="", methods=["totp"], passkey_options=None, expires_at=datetime.now(UTC)
    )


@pytest.mark.parametrize("kind", ["log-in", "passkey", "provider"])
async def test_what_has_succeeded_does_not_fail_when_its_attempt_cannot_be_settled(
    limiter: RateLimiter, database_url: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The session is open by then, and its token would be lost."""
    monkeypatch.setattr(rate_limits, "REFUND_TIME", 0.01)
    context = RequestContext(device=Device(address=ip_address("192.0.2.1")))
    alice = Identifier.parse("alice")
    attempts: dict[str, AbstractAsyncContextManager[object]] = {
        "log-in": limiter.login_attempt(alice, context, device=None),
        "passkey": limiter.passkey_attempt(context),
        "provider": limiter.provider_attempt(context),
    }
    with ExitStack() as locks:
        async with attempts[kind]:
            locks.enter_context(locked(database_url, "rate_limit"))
            start_deadline(0)


async def test_the_question_for_a_second_factor_is_asked_if_its_attempt_cannot_be_settled(
    limiter: RateLimiter, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "REFUND_TIME", 0.01)
    context = RequestContext(device=Device(address=ip_address("192.0.2.1")))
    with ExitStack() as locks, pytest.raises(SecondFactorRequired):
        async with limiter.login_attempt(Identifier.parse("alice"), context, device=None):
            locks.enter_context(locked(database_url, "rate_limit"))
            start_deadline(0)
            raise question()


@pytest.mark.parametrize("error", [question, AccountDisabled])
async def test_a_right_password_counts_as_a_log_in_whatever_else_is_missing(
    make_limiter: MakeLimiter, error: Callable[[], Exception]
) -> None:
    """Each such log-in costs a password hash, so their number is limited too."""
    twice = RateLimitSettings(log_ins_per_name_and_address=Rate.parse("2/1h"))
    limiter = make_limiter(twice)

    async def log_in() -> None:
        context = RequestContext(device=Device(address=ip_address("192.0.2.1")))
        async with limiter.login_attempt(Identifier.parse("alice"), context, device=None):
            raise error()

    for _ in range(2):
        with pytest.raises(type(error())):
            await log_in()
    with pytest.raises(RateLimited):
        await log_in()


async def test_a_right_password_in_a_session_does_not_count(make_limiter: MakeLimiter) -> None:
    once = RateLimitSettings(log_in_failures_per_device=Rate.parse("1/1h"))
    limiter = make_limiter(once)
    for _ in range(3):
        async with limiter.password_check(session(1), RequestContext(device=Device())):
            pass


async def test_an_attempt_ends_with_its_own_error_when_the_database_is_gone(
    limiter: RateLimiter, postgresql: TestServer, database_url: str
) -> None:
    server_url, name = postgresql.embedded.url(), name_of(database_url)
    # The connection that the tests keep stays open.
    terminate = """
        SELECT pg_terminate_backend(pid, 60_000) FROM pg_stat_activity
        WHERE datname = $1 AND application_name = 'ostiary'
    """
    context = RequestContext(device=Device(address=ip_address("192.0.2.1")))
    try:
        with pytest.raises(Overloaded):
            async with limiter.login_attempt(Identifier.parse("alice"), context, device=None):
                execute(server_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
                execute(server_url, terminate, name)
                raise Overloaded
    finally:
        execute(server_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


async def test_a_service_that_stops_waits_for_what_is_given_back(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "REFUND_TIME", PATIENCE)
    settings = read_settings({**FRUGAL, "DATABASE_URL": database_url})
    context = RequestContext(device=Device(address=ip_address("192.0.2.1")))
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(open_services(settings, database_url))
        limiter = services.accounts._rate_limiter
        with ExitStack() as locks:
            with pytest.raises(Overloaded):
                async with limiter.login_attempt(Identifier.parse("alice"), context, device=None):
                    locks.enter_context(locked(database_url, "rate_limit"))
                    start_deadline(0)
                    raise Overloaded
            stopping = asyncio.create_task(stack.pop_all().aclose())
            await asyncio.to_thread(wait_for_lock_waiters, database_url)
            assert limiter._refunds
        await stopping
    assert limiter._refunds == set()


async def test_a_service_that_stops_does_not_wait_longer_than_a_refund_may_take(
    limiter: RateLimiter, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that is cancelled leaves its refund the time that it had itself."""
    context = RequestContext(device=Device(address=ip_address("192.0.2.1")))

    async def fail_without_a_database(locks: ExitStack) -> None:
        async with limiter.login_attempt(Identifier.parse("alice"), context, device=None):
            locks.enter_context(locked(database_url, "rate_limit"))
            start_deadline(PATIENCE)
            raise Overloaded

    with ExitStack() as locks:
        failing = asyncio.create_task(fail_without_a_database(locks))
        await asyncio.to_thread(wait_for_lock_waiters, database_url)
        failing.cancel()
        with monkeypatch.context() as patch:
            patch.setattr(rate_limits, "REFUND_TIME", 0)
            await limiter.close()
        assert limiter._refunds


async def test_a_defect_of_a_refund_is_not_hidden(limiter: RateLimiter, database_url: str) -> None:
    context = RequestContext(device=Device(address=ip_address("192.0.2.1")))
    refused = "ALTER TABLE rate_limit ADD CHECK (reserved > '0') NOT VALID"
    with pytest.raises(StatementRefused):
        async with limiter.login_attempt(Identifier.parse("alice"), context, device=None):
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
    limiter: RateLimiter, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it did, the refund would be over before the lock is."""
    monkeypatch.setattr(rate_limits, "REFUND_TIME", PATIENCE)
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


BOB = {"username": "Bobby", "address": "bob@example.com"}


@pytest.fixture
async def bob(database_url: str, make_limiter: MakeLimiter) -> RateLimiter:
    """Return limits by which Bob, who has a name and an address, has three guesses for each."""
    add = """
    WITH u AS (INSERT INTO "user" (id) VALUES (gen_random_uuid()) RETURNING id)
    INSERT INTO key (provider, name, display_name, user_id)
    SELECT provider, name, name, id FROM u,
        (VALUES ('username', 'bobby'), ('email', 'bob@example.com')) AS named (provider, name)
    """
    await asyncio.to_thread(execute, database_url, add)
    limits = RateLimitSettings(log_in_failures_per_name=Rate.parse("3/1h"))
    return make_limiter(limits)


async def guess(limiter: RateLimiter, address: str, name: str) -> str:
    """Guess a password. Return whether the guess was refused, compared, or in vain."""
    context = RequestContext(device=Device(address=ip_address(address)))
    outcome = "refused"
    with suppress(RateLimited, InvalidCredentials):
        async with limiter.login_attempt(Identifier.parse(name), context, device=None) as attempt:
            outcome = "in vain" if attempt.key is None else "compared"
            raise InvalidCredentials
    return outcome


@pytest.mark.parametrize("first", ["username", "address"])
async def test_a_name_and_an_address_give_no_more_guesses_than_one_of_them(
    bob: RateLimiter, first: str
) -> None:
    """Also from other networks, of which each has one guess for a user."""
    (second,) = BOB.keys() - {first}
    for number in range(3):
        assert await guess(bob, f"192.0.2.{number}", BOB[first]) == "compared"
    assert await guess(bob, "192.0.2.0", BOB[first]) == "refused"
    for number in range(3):
        assert await guess(bob, f"192.0.2.{number}", BOB[second]) == "in vain"
    assert await guess(bob, "192.0.2.3", BOB[second]) == "compared"
    assert await guess(bob, "192.0.2.3", BOB[first]) == "in vain"


async def test_each_site_of_ipv6_has_guesses_of_its_own_for_a_user(
    bob: RateLimiter,
) -> None:
    """A /56 has two, when those for the user from everywhere are used up."""
    for number in range(3):
        assert await guess(bob, f"192.0.2.{number}", "Bobby") == "compared"
    found = [await guess(bob, f"2001:db8:0:10{number}::1", "Bobby") for number in range(3)]
    assert found == ["compared", "compared", "refused"]


async def test_no_refusal_tells_whose_address_it_is(bob: RateLimiter) -> None:
    """A name and an address of one user are refused as often as those of two, or of nobody."""

    async def refusals(name: str, address: str, networks: str) -> list[bool]:
        return [
            await guess(bob, f"{networks}.{number % 4}", each) == "refused"
            for number in range(10)
            for each in (name, address)
        ]

    found = await refusals("Bobby", "bob@example.com", "192.0.2")
    assert found == await refusals("Nobody", "nobody@example.com", "198.51.100")
    assert True in found


async def test_who_always_types_the_same_never_guesses_in_vain(bob: RateLimiter) -> None:
    found = [await guess(bob, f"192.0.2.{number % 5}", "bob@example.com") for number in range(15)]
    assert set(found) == {"compared", "refused"}


async def test_a_right_password_gives_the_guesses_of_the_user_back(bob: RateLimiter) -> None:
    for _ in range(5):
        for name in BOB.values():
            await attempt(bob, "192.0.2.1", name, error=None)
    assert await guess(bob, "192.0.2.1", "Bobby") == "compared"


async def test_a_known_device_has_as_many_guesses_by_name_and_address_as_by_one(
    bob: RateLimiter, database_url: str, make_limiter: MakeLimiter
) -> None:
    add = 'INSERT INTO device (hash, user_id) SELECT $1, id FROM "user"'
    await asyncio.to_thread(execute, database_url, add, TOKEN.hash)
    limits = RateLimitSettings(log_in_failures_per_device=Rate.parse("2/1h"))
    limiter = make_limiter(limits)
    for name in BOB.values():
        assert await fail(limiter, "192.0.2.1", name, TOKEN)
    for name in BOB.values():
        assert not await fail(limiter, "192.0.2.1", name, TOKEN)


async def test_a_guess_that_the_name_has_is_not_in_vain_for_a_moment_between_two_rows(
    bob: RateLimiter, database_url: str
) -> None:
    for _ in range(3):
        assert await guess(bob, "192.0.2.1", "Bobby") == "compared"
    buckets = bob._login_buckets("bobby", RequestContext(), None)
    user_id = await asyncio.to_thread(fetch_value, database_url, 'SELECT id FROM "user"')
    tolerance = buckets.name.burst_tolerance
    for bucket, seconds in (
        (buckets.name.id, tolerance),
        (sha256(buckets.user.id + user_id.bytes).digest(), tolerance + 0.9),
    ):
        move = "UPDATE rate_limit SET tat = now() + make_interval(secs => $2) WHERE bucket = $1"
        await asyncio.to_thread(execute, database_url, move, bucket, seconds)
    assert await guess(bob, "192.0.2.1", "Bobby") == "compared"
