"""The limits of a network: log-ins by passkey or provider, sign-ups and requests for mail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from service.auth.rate_limits import RateLimiter
from service.model.request_context import Device, RequestContext
from service.settings.rate_limits import RateLimitSettings
from service.settings.values import Rate
from tests.attack_patterns import session
from tests.auth.conftest import MakeLimiter

SESSION = session(1)
Attempt: TypeAlias = Callable[[RequestContext], AbstractAsyncContextManager[None]]


@pytest.fixture
def limiter(make_limiter: MakeLimiter) -> RateLimiter:
    """Return limits of two in an hour. No attempt waits for those in flight."""
    twice = Rate.parse("2/1h")
    limits = RateLimitSettings(
        log_in_failures_per_address=twice,
        sign_ups_per_address=twice,
        mail_requests_per_address=twice,
    )
    return make_limiter(limits, timeout=0)


@pytest.fixture
def attempts(limiter: RateLimiter) -> Mapping[str, Attempt]:
    return {
        "passkey": limiter.passkey_attempt,
        "provider": limiter.provider_attempt,
        "sign-up": limiter.sign_up_attempt,
    }


def context_from(address: str) -> RequestContext:
    return RequestContext(device=Device(address=ip_address(address)))


HERE = context_from("192.0.2.1")


async def outcome(
    attempt: AbstractAsyncContextManager[None], failure: Callable[[], Exception] | None = None
) -> str:
    """Return how an attempt ends: refused, failed if its body raises ``failure``, or successful."""
    # Made anew: a traceback would keep the connections of tests that are over.
    error = None if failure is None else failure()
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


FAILURES: Mapping[str, Callable[[], Exception]] = {
    "InvalidCredentials": InvalidCredentials,
    "InvalidChallenge": InvalidChallenge,
    "UnknownPasskey": lambda: UnknownPasskey("cid"),
    "ValidationFailed": lambda: ValidationFailed([]),
    "ProviderRefused": lambda: ProviderRefused("access_denied"),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("kind", ["passkey", "provider"])
async def test_failed_log_ins_by_passkey_or_provider_are_limited(
    attempts: Mapping[str, Attempt], kind: str, failure: str
) -> None:
    found = [await outcome(attempts[kind](HERE), FAILURES[failure]) for _ in range(3)]
    assert found == ["failed", "failed", "refused"]


@pytest.mark.parametrize("failure", [Overloaded, None], ids=["overloaded", "success"])
@pytest.mark.parametrize("kind", ["passkey", "provider"])
async def test_neither_a_success_nor_a_fault_of_the_service_counts(
    attempts: Mapping[str, Attempt], kind: str, failure: Callable[[], Exception] | None
) -> None:
    found = {await outcome(attempts[kind](HERE), failure) for _ in range(3)}
    assert found == {"successful" if failure is None else "failed"}


async def test_a_sign_up_counts_unless_it_fails(limiter: RateLimiter) -> None:
    for _ in range(3):
        assert await outcome(limiter.sign_up_attempt(HERE), Overloaded) == "failed"
    for _ in range(2):
        assert await outcome(limiter.sign_up_attempt(HERE)) == "successful"
    assert await outcome(limiter.sign_up_attempt(HERE)) == "refused"


async def test_a_guess_at_an_invitation_counts(limiter: RateLimiter) -> None:
    found = [await outcome(limiter.sign_up_attempt(HERE), InvalidInvitation) for _ in range(3)]
    assert found == ["failed", "failed", "refused"]


async def test_sign_ups_at_once_do_not_wait_for_one_another(limiter: RateLimiter) -> None:
    async with limiter.sign_up_attempt(HERE), limiter.sign_up_attempt(HERE):
        with pytest.raises(RateLimited):
            await limiter.sign_up_attempt(HERE).__aenter__()


SITES = [f"2001:db8:0:{number:x}00::1" for number in range(3)]


@pytest.mark.parametrize(
    ("kind", "failure"),
    [("passkey", InvalidCredentials), ("provider", InvalidCredentials), ("sign-up", None)],
)
async def test_an_ipv6_site_has_a_higher_limit_than_one_of_its_subscribers(
    attempts: Mapping[str, Attempt], kind: str, failure: Callable[[], Exception] | None
) -> None:
    """A /48 has three times as many: two for each of three, and none for the fourth."""
    for address in SITES:
        found = [await outcome(attempts[kind](context_from(address)), failure) for _ in range(3)]
        assert found == [*["successful" if failure is None else "failed"] * 2, "refused"]
    fourth = attempts[kind](context_from("2001:db8:0:ff00::1"))
    assert await outcome(fourth, failure) == "refused"


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
async def test_failures_with_providers_are_recorded_with_their_session(
    limiter: RateLimiter, *, in_session: bool
) -> None:
    expected = (str(SESSION.user_id), str(SESSION.id)) if in_session else (None, None)
    with capture_logs() as logged:
        for _ in range(3):
            attempt = limiter.provider_attempt(HERE, SESSION if in_session else None)
            await outcome(attempt, InvalidCredentials)
    assert [each["event"] for each in logged] == [
        *(Event.LOG_IN_FAILED, Event.LOG_IN_FAILED, Event.LOG_IN_THROTTLED)
    ]
    assert {(each["user_id"], each["session_id"]) for each in logged} == {expected}


async def test_no_refund_is_remembered_once_it_is_over(limiter: RateLimiter) -> None:
    await outcome(limiter.passkey_attempt(HERE))
    assert limiter._refunds == set()
