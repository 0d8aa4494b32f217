"""How often a network may do what names nobody: by passkey or provider, sign up, ask for mail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from ipaddress import ip_address
from typing import TypeAlias

import pytest
from structlog.testing import capture_logs

from service.auth.audit import Event
from service.auth.errors import (
    InvalidChallenge,
    InvalidCredentials,
    InvalidInvitation,
    Overloaded,
    ProviderRefused,
    RateLimited,
    UnknownPasskey,
    ValidationFailed,
)
from service.auth.hashing.hasher import Hasher
from service.auth.rate_limits import RateLimiter
from service.model.request_context import Device, RequestContext
from service.settings.rate_limits import RateLimitSettings
from service.settings.values import Rate
from service.storage.database import Database
from tests.attack_patterns import session

SESSION = session(1)
Limits: TypeAlias = Callable[[RequestContext], AbstractAsyncContextManager[None]]
Admit: TypeAlias = Callable[[RequestContext], Awaitable[None]]


@pytest.fixture
def limiter(database: Database, hasher: Hasher) -> RateLimiter:
    """Return limits of two in an hour. Nothing waits for attempts in flight."""
    twice = Rate.parse("2/1h")
    limits = RateLimitSettings(
        log_in_failures_per_address=twice,
        sign_ups_per_address=twice,
        mail_requests_per_address=twice,
    )
    return RateLimiter(database, hasher, limits, timeout=0, device_lifetime=3600)


def context_from(address: str) -> RequestContext:
    return RequestContext(device=Device(address=ip_address(address)))


HERE = context_from("192.0.2.1")


async def outcome(attempt: AbstractAsyncContextManager[None], error: Exception | None) -> str:
    """Return how an attempt ends whose body raises ``error``: refused, failed or successful."""
    try:
        async with attempt:
            if error is not None:
                raise error  # noqa: TRY301
    except RateLimited:
        return "refused"
    except Exception as raised:  # noqa: BLE001 - compared below
        assert raised is error
        return "failed"
    return "successful"


@pytest.mark.parametrize(
    "error",
    [
        *(InvalidCredentials(), InvalidChallenge(), UnknownPasskey("cid")),
        *(ValidationFailed([]), ProviderRefused("access_denied")),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("kind", ["passkey", "provider"])
async def test_what_proves_nobody_counts(limiter: RateLimiter, kind: str, error: Exception) -> None:
    attempts = {"passkey": limiter.passkey_attempt, "provider": limiter.provider_attempt}
    found = [await outcome(attempts[kind](HERE), error) for _ in range(3)]
    assert found == ["failed", "failed", "refused"]


@pytest.mark.parametrize("error", [Overloaded(), None], ids=["overloaded", "success"])
@pytest.mark.parametrize("kind", ["passkey", "provider"])
async def test_neither_a_success_nor_a_fault_of_the_service_counts(
    limiter: RateLimiter, kind: str, error: Exception | None
) -> None:
    attempts = {"passkey": limiter.passkey_attempt, "provider": limiter.provider_attempt}
    found = {await outcome(attempts[kind](HERE), error) for _ in range(3)}
    assert found == {"successful" if error is None else "failed"}


async def test_a_sign_up_counts_unless_it_fails(limiter: RateLimiter) -> None:
    for _ in range(3):
        assert await outcome(limiter.sign_up_attempt(HERE), Overloaded()) == "failed"
    for _ in range(2):
        assert await outcome(limiter.sign_up_attempt(HERE), None) == "successful"
    assert await outcome(limiter.sign_up_attempt(HERE), None) == "refused"


async def test_a_guess_at_an_invitation_counts(limiter: RateLimiter) -> None:
    found = [await outcome(limiter.sign_up_attempt(HERE), InvalidInvitation()) for _ in range(3)]
    assert found == ["failed", "failed", "refused"]


async def test_sign_ups_at_once_do_not_wait_for_one_another(limiter: RateLimiter) -> None:
    async with limiter.sign_up_attempt(HERE), limiter.sign_up_attempt(HERE):
        with pytest.raises(RateLimited):
            await limiter.sign_up_attempt(HERE).__aenter__()


SITES = [f"2001:db8:0:{number:x}00::1" for number in range(3)]


@pytest.mark.parametrize("kind", ["passkey", "provider", "sign-up"])
async def test_an_ipv6_site_may_do_more_than_one_of_its_subscribers(
    limiter: RateLimiter, kind: str
) -> None:
    """A /48 has three times as many: two for each of three, and none for the fourth."""
    attempts = {
        "passkey": (limiter.passkey_attempt, InvalidCredentials()),
        "provider": (limiter.provider_attempt, InvalidCredentials()),
        "sign-up": (limiter.sign_up_attempt, None),
    }
    attempt, error = attempts[kind]
    for address in SITES:
        found = [await outcome(attempt(context_from(address)), error) for _ in range(3)]
        assert found == [*[("failed" if error else "successful")] * 2, "refused"]
    assert await outcome(attempt(context_from("2001:db8:0:ff00::1")), error) == "refused"


async def test_requests_for_mail_are_limited_by_network(limiter: RateLimiter) -> None:
    for address in SITES:
        for _ in range(2):
            await limiter.admit_mail_request(context_from(address))
        with pytest.raises(RateLimited):
            await limiter.admit_mail_request(context_from(address))
    with pytest.raises(RateLimited):
        await limiter.admit_mail_request(context_from("2001:db8:0:ff00::1"))


@pytest.mark.parametrize("what", ["mail", "change"])
async def test_a_user_has_a_limit_in_all_sessions_and_networks(
    limiter: RateLimiter, what: str
) -> None:
    async def ask(number: int) -> None:
        if what == "mail":
            await limiter.admit_mail_request(context_from(f"192.0.2.{number}"), session=SESSION)
        else:
            await limiter.admit_change(SESSION, context_from(f"192.0.2.{number}"))

    await ask(1)
    await ask(2)
    with capture_logs() as logged, pytest.raises(RateLimited):
        await ask(3)
    (event,) = logged
    user_id = str(SESSION.user_id)
    assert (event["event"], event["user_id"]) == (Event.MAIL_REQUEST_THROTTLED, user_id)


@pytest.mark.parametrize("in_session", [True, False])
async def test_failures_with_providers_are_recorded_with_the_session_they_are_of(
    limiter: RateLimiter, *, in_session: bool
) -> None:
    expected = (str(SESSION.user_id), str(SESSION.id)) if in_session else (None, None)
    with capture_logs() as logged:
        for _ in range(3):
            attempt = limiter.provider_attempt(HERE, SESSION if in_session else None)
            await outcome(attempt, InvalidCredentials())
    assert [each["event"] for each in logged] == [
        *(Event.LOG_IN_FAILED, Event.LOG_IN_FAILED, Event.LOG_IN_THROTTLED)
    ]
    assert {(each["user_id"], each["session_id"]) for each in logged} == {expected}


async def test_no_refund_is_remembered_once_it_is_over(limiter: RateLimiter) -> None:
    await outcome(limiter.passkey_attempt(HERE), None)
    assert limiter._refunds == set()
