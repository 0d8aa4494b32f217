"""Every request is answered at its deadline, whatever it waits for.

All other time limits are a minute here, so that only the deadline can end a wait.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from tests.databases import execute, held, locked, name_of, wait_until
from tests.factories import PASSWORD, bearer, log_in, sign_up
from tests.proxy import Proxy
from tests.services import NO_LIMITS, Service, family_of, running, wait_for

REQUESTS = 100

WAITING = """
(SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0)"""

# Connections of the pool, for look-ups, and for the readiness check.
MAX_CONNECTIONS = 8 + 2 + 1


@pytest.fixture
def proxy(database_url: str) -> Iterator[Proxy]:
    with Proxy(database_url).running() as proxy:
        yield proxy


@pytest.fixture
def service(proxy: Proxy, database_url: str, tmp_path: Path) -> Iterator[Service]:
    environment = {"OSTIARY_REQUEST_TIMEOUT": "1s", "OSTIARY_LOG_FORMAT": "json", **NO_LIMITS}
    with running(proxy.url, tmp_path / "service.log", environment) as service:
        service.database_url = database_url
        yield service


def new_session(client: httpx.Client) -> dict[str, str]:
    """Return the header with the token of a new user.

    On a busy machine a request may exceed the deadline, so each is sent until it succeeds.
    """
    wait_for(lambda: sign_up(client).status_code in {201, 409}, "the user has signed up")
    return log_in_at_last(client)


def log_in_at_last(client: httpx.Client) -> dict[str, str]:
    """Return the header with the token of a session of Alice's."""
    answers: list[httpx.Response] = []

    def succeeds() -> bool:
        answers.append(log_in(client, transport="bearer"))
        return answers[-1].is_success

    wait_for(succeeds, "the user has logged in")
    client.cookies.clear()
    return bearer(answers[-1].json()["session"]["token"])


def wait_for_status(send: Callable[[], httpx.Response], status: int) -> None:
    wait_for(lambda: send().status_code == status, f"a response has the status {status}")


def outcome(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


UNAVAILABLE = (503, "database_unavailable")


def test_all_requests_are_answered_while_postgresql_is_silent(
    service: Service, client: httpx.Client, proxy: Proxy
) -> None:
    mine = new_session(client)
    change = {"current_password": PASSWORD, "new_password": "an entirely different one"}
    requests = [
        *[("GET", "/me", None)] * REQUESTS,
        ("GET", "/sessions", None),
        ("DELETE", "/sessions", None),
        ("POST", "/logout", None),
        ("GET", "/readyz", None),
        ("PUT", "/me/password", change),
        ("DELETE", "/me", {"password": PASSWORD}),
        ("POST", "/login", {"username": "Alice", "password": PASSWORD}),
        ("POST", "/signup", {"username": "Bobby", "password": PASSWORD}),
    ]
    proxy.silence()
    with ThreadPoolExecutor(len(requests)) as pool:
        answers = pool.map(
            lambda each: client.request(each[0], each[1], json=each[2], headers=mine), requests
        )
        assert {outcome(answer) for answer in answers} == {UNAVAILABLE}
    events = [json.loads(line)["event"] for line in service.logged().splitlines()]
    assert 1 <= events.count("database_unavailable") < REQUESTS / 5
    proxy.speak()
    proxy.cut()
    wait_for_status(lambda: client.get("/me", headers=mine), 200)
    wait_for_status(lambda: log_in(client), 200)
    wait_for_status(lambda: client.get("/readyz"), 200)
    connections = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'ostiary'"""
    wait_until(service.database_url, f"({connections}) <= {MAX_CONNECTIONS}")


def test_a_statement_whose_request_is_over_is_cancelled(
    service: Service, client: httpx.Client
) -> None:
    """A sign-up that was not confirmed did not take place, here."""
    mine = new_session(client)
    with locked(service.database_url, "session"):
        assert outcome(client.get("/me", headers=mine)) == UNAVAILABLE
        assert outcome(sign_up(client, "Bobby")) == UNAVAILABLE
        assert outcome(client.get("/sessions", headers=mine)) == UNAVAILABLE
        wait_until(service.database_url, f"{WAITING} = 0")
    wait_for_status(lambda: client.get("/me", headers=mine), 200)
    wait_for_status(lambda: log_in(client, "Bobby"), 401)


def test_a_hash_process_that_hangs_does_not_hold_a_log_in_beyond_its_deadline(
    database_url: str, tmp_path: Path
) -> None:
    environment = {
        "OSTIARY_REQUEST_TIMEOUT": "1s",
        "OSTIARY_HASH_PROCESSES": "1",
        "OSTIARY_LOG_IN_FAILURES_PER_NAME": "1/1h",
    }
    with (
        running(database_url, tmp_path / "service.log", environment) as service,
        service.client() as client,
    ):
        new_session(client)
        # Not on a known device, which has limits of its own.
        client.cookies.clear()
        hash_process = next(filter(hashes, family_of(service.process)))
        hash_process.send_signal(signal.SIGSTOP)
        try:
            assert outcome(log_in(client)) == (503, "overloaded")
            assert "overloaded" in service.logged()
        finally:
            hash_process.send_signal(signal.SIGCONT)
        # The attempt was given back, although its request had no time left.
        wait_for(lambda: log_in(client).status_code == 200, "the attempt was given back")


def test_a_log_in_whose_session_is_open_is_answered_although_the_limit_cannot_be_enforced(
    database_url: str, tmp_path: Path
) -> None:
    environment = {"OSTIARY_REQUEST_TIMEOUT": "1s", "OSTIARY_SESSIONS_PER_USER": "1"}
    with (
        running(database_url, tmp_path / "service.log", environment) as service,
        service.client() as client,
    ):
        new_session(client)
        with held(database_url, "SELECT FROM session FOR UPDATE"):
            mine = log_in(client, transport="bearer")
        assert mine.status_code == 200
        assert "session_limit_not_enforced" in service.logged()
        token = bearer(mine.json()["session"]["token"])
        assert client.get("/me", headers=token).status_code == 200


def hashes(process: psutil.Process) -> bool:
    return "service.auth.hashing.program" in process.cmdline()


def test_requests_get_past_a_connection_that_is_stuck(
    database_url: str, proxy: Proxy, tmp_path: Path
) -> None:
    with (
        running(proxy.url, tmp_path / "service.log") as service,
        service.client() as client,
        ThreadPoolExecutor(2) as pool,
    ):
        mine = new_session(client)
        assert client.get("/me", headers=mine).status_code == 200
        proxy.silence(new=False)
        # Whichever is the first is stuck.
        both = [pool.submit(client.get, "/me", headers=mine) for _ in range(2)]
        wait_for(lambda: any(each.done() for each in both), "one is answered")
        assert not all(each.done() for each in both)
        proxy.speak()
        assert [each.result().status_code for each in both] == [200, 200]


def test_readiness_does_not_depend_on_the_connections_of_others(
    database_url: str, tmp_path: Path
) -> None:
    environment = {"OSTIARY_DATABASE_POOL_SIZE": "1", **NO_LIMITS}
    with (
        running(database_url, tmp_path / "service.log", environment) as service,
        service.client() as client,
        ThreadPoolExecutor(2) as pool,
    ):
        mine = new_session(client)
        with locked(database_url, "session"):
            waiting = [pool.submit(log_in, client), pool.submit(client.get, "/me", headers=mine)]
            wait_until(database_url, f"{WAITING} = 2")
            assert client.get("/readyz").status_code == 200
            assert not any(each.done() for each in waiting)


def test_a_server_without_writes_is_not_ready(
    service: Service, client: httpx.Client, proxy: Proxy
) -> None:
    mine = new_session(client)
    name = name_of(service.database_url)
    server_url = service.database_url.replace(f"/{name}?", "/postgres?")
    execute(server_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    proxy.cut()
    assert outcome(client.get("/readyz")) == UNAVAILABLE
    assert outcome(sign_up(client, "Bobby")) == UNAVAILABLE
    wait_for_status(lambda: client.get("/me", headers=mine), 200)
    execute(server_url, f"ALTER DATABASE {name} RESET default_transaction_read_only")
    wait_for_status(lambda: client.get("/readyz"), 200)
    wait_for(lambda: sign_up(client, "Bobby").status_code in {201, 409}, "Bobby has signed up")


def test_a_log_in_on_a_schema_that_is_behind_is_503(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    for change in (
        "ALTER TABLE rate_limit RENAME TO other",
        "ALTER TABLE key RENAME COLUMN password_scheme TO other",
    ):
        execute(service.database_url, change)
        assert outcome(log_in(client)) == (503, "schema_behind")
    assert "does not exist" in service.logged()
