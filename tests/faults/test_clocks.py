"""The clock of the service is a day off, that of PostgreSQL is right."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest

from tests.databases import fetch_value
from tests.factories import age_sessions, cookie, moment, sign_up, token_of
from tests.faults.clocks import WrongClock
from tests.faults.instances import Instance, NewInstance
from tests.faults.load import UnderLoad
from tests.faults.servers import OwnServer

DAY = timedelta(days=1)

# How long a test may take between two statements, on a busy machine.
SOON = timedelta(minutes=5)


def client_of(instance: Instance) -> httpx.Client:
    return httpx.Client(base_url=instance.url)


def status_of(client: httpx.Client, token: str) -> int:
    client.cookies.clear()
    return client.get("/me", headers=cookie(token)).status_code


def clock_of(instance: Instance) -> datetime:
    """Return the time of the last event that was logged."""
    last = instance.log.read_text().splitlines()[-1]
    return datetime.fromisoformat(json.loads(last)["timestamp"])


def expiry(response: httpx.Response, name: str) -> datetime:
    """Return when a cookie expires, for a client that understands `Expires` only."""
    cookies = SimpleCookie("\n".join(response.headers.get_list("Set-Cookie")))
    return datetime.strptime(cookies[name]["expires"] + "+0000", "%a, %d %b %Y %H:%M:%S GMT%z")


@pytest.mark.parametrize("days", [1, -1])
def test_the_clock_of_the_database_counts(
    server: OwnServer, new_instance: NewInstance, tmp_path: Path, days: int
) -> None:
    right, wrong = new_instance(), new_instance(WrongClock(tmp_path / "clock", days).command)
    for instance in (right, wrong):
        instance.start()
    with client_of(right) as at_right, client_of(wrong) as at_wrong:
        signed_up = sign_up(at_wrong)
        now = fetch_value(server.url, "SELECT now()")
        assert abs(clock_of(wrong) - now - days * DAY) < SOON
        session, token = signed_up.json()["session"], token_of(signed_up)
        assert abs(moment(session["created_at"]) - now) < SOON
        assert abs(expiry(signed_up, "auth_session") - now - 15 * DAY) < SOON
        assert abs(expiry(signed_up, "auth_device") - now - 365 * DAY) < SOON
        for client in (at_right, at_wrong):
            assert status_of(client, token) == 200
        age_sessions(server.url, days=14.9)
        renewed = at_wrong.get("/me", headers=cookie(token))
        assert abs(expiry(renewed, "auth_session") - now - 15 * DAY) < SOON
        age_sessions(server.url, days=14.9)
        assert status_of(at_right, token) == 200
        age_sessions(server.url, days=15.1)
        for client in (at_right, at_wrong):
            assert status_of(client, token) == 401


def test_the_clock_jumps_under_load(
    new_instance: NewInstance, under_load: UnderLoad, tmp_path: Path
) -> None:
    """No wait and no time limit depends on it."""
    clock = WrongClock(tmp_path / "clock", days=1)
    instance = new_instance(clock.command)
    instance.start()
    with under_load("clock of the service a day ahead, then two days back", instance.url) as load:
        load.go_on(2)
        clock.set(days=-1)
        load.go_on(2)
        clock.set(days=0)
    assert load.failures() == {}
    instance.stop()
