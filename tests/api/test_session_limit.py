"""The limit on the sessions of a user."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from service.auth.sessions import UNSEEN_LOG_INS
from tests.databases import execute, fetch_value, held, wait_for_lock_waiters
from tests.factories import age_sessions, bearer, log_in, sign_up, token_of
from tests.service_pool import ServicePool
from tests.services import Service


@pytest.fixture
def service(services: ServicePool) -> Service:
    return services.service({"OSTIARY_SESSIONS_PER_USER": "2"})


def enter(client: httpx.Client, username: str = "Alice") -> str:
    """Log in on another device."""
    client.cookies.clear()
    token: str = log_in(client, username, transport="bearer").json()["session"]["token"]
    return token


def join(client: httpx.Client, username: str = "Alice") -> str:
    client.cookies.clear()
    token: str = sign_up(client, username, transport="bearer").json()["session"]["token"]
    return token


def are_live(client: httpx.Client, *tokens: str) -> list[bool]:
    client.cookies.clear()
    return [client.get("/me", headers=bearer(token)).status_code == 200 for token in tokens]


def live_sessions(service: Service) -> int:
    number: int = fetch_value(
        service.database_url, "SELECT count(*) FROM session WHERE idle_expires_at > now()"
    )
    return number


def test_a_log_in_beyond_the_limit_ends_the_oldest_session(
    service: Service, client: httpx.Client
) -> None:
    bobby = join(client, "Bobby")
    first = join(client)
    first_id = client.get("/me", headers=bearer(first)).json()["session"]["id"]
    second, third = enter(client), enter(client)
    assert are_live(client, first, second, third, bobby) == [False, True, True, True]
    (event,) = [line for line in service.logged().splitlines() if "session_limit" in line]
    assert "session_limit_exceeded" in event
    assert first_id in event


def test_a_session_that_the_log_in_replaces_does_not_count(
    service: Service, client: httpx.Client
) -> None:
    first = join(client)
    second = token_of(log_in(client))
    third = token_of(log_in(client))
    assert are_live(client, first, second, third) == [True, False, True]
    assert "session_limit" not in service.logged()


def test_dead_sessions_do_not_count(service: Service, client: httpx.Client) -> None:
    join(client)
    enter(client)
    age_sessions(service.database_url, days=16)
    tokens = enter(client), enter(client)
    assert are_live(client, *tokens) == [True, True]
    assert "session_limit" not in service.logged()


def test_the_oldest_session_is_the_one_opened_first(service: Service, client: httpx.Client) -> None:
    """A renewal does not make it younger."""
    first = join(client)
    age_sessions(service.database_url, days=2)
    second = enter(client)
    assert client.get("/me", headers=bearer(first)).json()["session"]["fresh"] is True
    third = enter(client)
    assert are_live(client, first, second, third) == [False, True, True]


@pytest.mark.parametrize("limit", [2, UNSEEN_LOG_INS + 2])
def test_a_lower_limit_applies_from_the_next_log_in(services: ServicePool, limit: int) -> None:
    service = services.service({"OSTIARY_SESSIONS_PER_USER": str(limit)})
    with service.client() as client:
        token = join(client)
        add_older_sessions(service, limit)
        new = enter(client)
        assert live_sessions(service) == limit
        assert are_live(client, token, new) == [True, True]


def add_older_sessions(service: Service, number: int) -> None:
    """Add sessions to a user who has one, opened the day before that one."""
    execute(
        service.database_url,
        """INSERT INTO session (id, secret_hash, user_id, created_at, active_expires_at,
                                idle_expires_at, absolute_expires_at)
           SELECT gen_random_uuid(), '', user_id, created_at - interval '1 day', active_expires_at,
                  idle_expires_at, absolute_expires_at
           FROM session, generate_series(1, $1)""",
        number,
    )


@pytest.mark.parametrize("earlier", [1, 2])
def test_simultaneous_log_ins_do_not_exceed_the_limit(
    service: Service, client: httpx.Client, earlier: int
) -> None:
    join(client)
    for _ in range(earlier - 1):
        enter(client)
    with ThreadPoolExecutor(2) as pool:
        # Each has counted the sessions before the other one opens its own.
        with held(service.database_url, "SELECT FROM key FOR UPDATE"):
            answers = [pool.submit(log_in, client, transport="bearer") for _ in range(2)]
            wait_for_lock_waiters(service.database_url, 2)
        new = [answer.result().json()["session"]["token"] for answer in answers]
    assert live_sessions(service) == 2
    assert are_live(client, *new) == [True, True]


def test_simultaneous_log_ins_end_each_of_the_oldest_sessions_once(
    service: Service, client: httpx.Client
) -> None:
    join(client)
    enter(client)
    with ThreadPoolExecutor(3) as pool:
        with held(service.database_url, "SELECT FROM session FOR UPDATE"):
            answers = [pool.submit(log_in, client, transport="bearer") for _ in range(3)]
            wait_for_lock_waiters(service.database_url, 3)
        assert [answer.result().status_code for answer in answers] == [200] * 3
    assert live_sessions(service) == 2


def test_zero_is_no_limit(services: ServicePool) -> None:
    service = services.service({"OSTIARY_SESSIONS_PER_USER": "0"})
    with service.client() as client:
        tokens = [join(client), *(enter(client) for _ in range(3))]
        assert are_live(client, *tokens) == [True] * 4
