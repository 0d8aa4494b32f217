"""Several instances behind HAProxy."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeAlias

import httpx
import pytest

from tests.databases import searchable_directory
from tests.factories import PASSWORD, bearer
from tests.faults.haproxy import HAProxy
from tests.faults.instances import Instance, NewInstance
from tests.faults.load import UnderLoad
from tests.services import (
    NO_CONNECTION_IS_CLOSED,
    PATIENCE,
    UNUSED_TLS,
    reserved_port,
    wait_for,
)

# The same for all instances: more processes would test the machine.
ONE_WORKER = {"OSTIARY_WORKERS": "1"}

# As docs/operations.md has it: longer than HAProxy takes to notice, and than idle connections live.
DRAIN = {"OSTIARY_DRAIN_PERIOD": "10s"}

# Each user is asked about twice.
USERS = 500

Behind: TypeAlias = Callable[[list[Instance]], HAProxy]


@pytest.fixture
def behind() -> Iterator[Behind]:
    """Return a function that starts a HAProxy before instances that run."""
    with ExitStack() as stack:

        def start(instances: list[Instance]) -> HAProxy:
            port = stack.enter_context(reserved_port())
            directory = stack.enter_context(searchable_directory())
            haproxy = HAProxy(port, [each.url for each in instances], directory)
            stack.callback(haproxy.stop)
            haproxy.start()
            return haproxy

        yield start


class User:
    """A user who ends a session on one instance, and asks about it on the two others."""

    def __init__(self, client: httpx.Client, number: int) -> None:
        self._client = client
        self._here, *self._elsewhere = ((number + each) % 3 for each in range(3))
        self._end = (self._log_out, self._end_others, self._change_password)[number // 3 % 3]
        self._credentials = {"username": f"user{number}", "password": PASSWORD}

    def ended_everywhere(self) -> list[bool]:
        """End a session; return for each other instance whether its next answer is 401."""
        ended = self._opened("/signup", self._elsewhere[0])
        other = self._opened("/login", self._here)
        self._end(ended, other)
        return [self._ask(each, ended).status_code == 401 for each in self._elsewhere]

    def _log_out(self, ended: str, _: str) -> None:
        assert self._ask(self._here, ended, "POST", "/logout").status_code == 204

    def _end_others(self, _: str, other: str) -> None:
        assert self._ask(self._here, other, "DELETE", "/sessions").json() == {"ended": 1}

    def _change_password(self, _: str, other: str) -> None:
        body = {"current_password": PASSWORD, "new_password": "an entirely different one"}
        assert self._ask(self._here, other, "PUT", "/me/password", body).status_code == 200

    def _opened(self, path: str, instance: int) -> str:
        body = {**self._credentials, "transport": "bearer"}
        token: str = self._ask(instance, None, "POST", path, body).json()["session"]["token"]
        for each in range(3):
            assert self._ask(each, token).status_code == 200
        return token

    def _ask(
        self,
        instance: int,
        token: str | None,
        method: str = "GET",
        path: str = "/me",
        body: dict[str, str] | None = None,
    ) -> httpx.Response:
        headers = {"X-Instance": str(instance)} | (bearer(token) if token else {})
        answer = self._client.request(method, path, json=body, headers=headers)
        assert answer.headers["X-Instance"] == str(instance)
        return answer


def test_what_ends_on_one_instance_is_dead_on_the_others(
    new_instance: NewInstance, under_load: UnderLoad, behind: Behind
) -> None:
    """Log-outs, log-outs of all other devices, changes of passwords: at once, each time."""
    instances = [new_instance(**ONE_WORKER) for _ in range(3)]
    for each in instances:
        each.start()
    haproxy = behind(instances)

    with (
        under_load(
            f"three instances behind HAProxy, {2 * USERS:,} checks of ended sessions", haproxy.url
        ) as load,
        httpx.Client(
            base_url=haproxy.url,
            timeout=PATIENCE,
            verify=UNUSED_TLS,
            limits=NO_CONNECTION_IS_CLOSED,
        ) as client,
        ThreadPoolExecutor(4) as pool,
    ):
        ended = pool.map(lambda number: User(client, number).ended_everywhere(), range(USERS))
        found = [each for user in ended for each in user]
    assert found == [True] * 2 * USERS
    assert load.failures() == {}
    for each in instances:
        each.stop()


def test_a_rolling_restart_loses_no_request(
    new_instance: NewInstance, under_load: UnderLoad, behind: Behind
) -> None:
    """While an instance drains HAProxy finds out, and sends its requests to the other one."""
    instances = [new_instance(**ONE_WORKER, **DRAIN) for _ in range(2)]
    for each in instances:
        each.start()
    haproxy = behind(instances)
    with under_load("rolling restart of two instances behind HAProxy", haproxy.url) as load:
        for each in instances:
            each.stop()
            assert sorted(haproxy.states()) == ["DOWN", "UP"]
            each.start()
            wait_for(lambda: haproxy.states() == ["UP", "UP"], "HAProxy finds both ready")
        load.fault_is_over()
    assert load.failures() == {}
    for each in instances:
        each.stop(signal.SIGINT)
