"""Disabled users: no session is left, none is opened, whatever way in, and whenever."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from service.model.service_tokens import Scope
from tests.admin.conftest import USERS, Program
from tests.databases import fetch_value
from tests.factories import PASSWORD, cookie, log_in, sign_up, token_of
from tests.factors.conftest import mailboxes, owner_of, problem
from tests.factors.passkeys import (
    add_passkey,
    answer,
    browser,
    log_in_options,
    opened,
)
from tests.flows.conftest import ALICE, Mailboxes, confirm_reset, user_with_address
from tests.identities.conftest import App, environment_for, provider
from tests.mail.conftest import mail_environment, plain_url
from tests.oidc.stub_provider import StubProvider
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, Service
from tests.smtp_server import SMTPServer

__all__ = ["mailboxes", "provider"]

ROUNDS = 25

DISABLED = (403, "account_disabled")
INVALID_CHALLENGE = (401, "invalid_challenge")

LogIn = Callable[[], httpx.Response]


@pytest.fixture
def service(services: ServicePool, shared_smtp: SMTPServer, provider: StubProvider) -> Service:
    """Return a service of two worker processes."""
    environment = NO_LIMITS | {
        **environment_for(provider),
        "OSTIARY_WORKERS": "2",
        "OSTIARY_LOG_FORMAT": "json",
        "OSTIARY_MAIL_POLL_INTERVAL": "1s",
    }
    return services.service(mail_environment(plain_url(shared_smtp), **environment))


def live_sessions(service: Service) -> int:
    count = "SELECT count(*) FROM session WHERE idle_expires_at > now()"
    return int(fetch_value(service.database_url, count))


def user_id_of(service: Service) -> str:
    return str(fetch_value(service.database_url, 'SELECT id FROM "user"'))


class Ways:
    """The ways in of a user. Each method makes what is to be sent at last."""

    def __init__(
        self, service: Service, client: httpx.Client, program: Program, stub: StubProvider
    ) -> None:
        self.service, self.client, self.program, self.stub = service, client, program, stub
        session = opened(sign_up(client, transport="bearer"))
        client.cookies.clear()
        self.user_id = user_id_of(service)
        self.session = session

    def by_password(self) -> LogIn:
        return lambda: log_in(self.client, transport="bearer")

    def by_second_factor(self) -> LogIn:
        owner = self.__dict__.get("owner")
        if owner is None:
            database_url = self.service.database_url
            owner = self.owner = owner_of(self.client, database_url, self.session, "Alice")
        challenge, code = owner.challenge(), owner.phone.next_code()
        return lambda: owner.complete(challenge, code)

    def by_passkey(self) -> LogIn:
        device = self.__dict__.get("device")
        if device is None:
            device = self.device = browser(self.service)
            add_passkey(self.client, self.session, device)
        asked = log_in_options(self.client)
        body = answer(asked, device.get(asked["options"]), transport="bearer")
        return lambda: self.client.post("/login/passkey", json=body)

    def by_provider(self) -> LogIn:
        app = App(client=self.client, provider=self.stub)
        if "linked" not in self.__dict__:
            self.linked = app.link(self.session).status_code == 200
        answered = app.answer(app.begin())
        return lambda: app.post(answered)

    def by_reset(self) -> LogIn:
        path = f"{USERS}/{self.user_id}/password-reset"
        made = self.program.send("POST", path, json={"deliver": "return"})
        token = made.json()["token"]
        return lambda: confirm_reset(self.client, token, PASSWORD)


OF_ONE_STEP = [Ways.by_password, Ways.by_provider]
OF_TWO_STEPS = [Ways.by_second_factor, Ways.by_passkey, Ways.by_reset]
WAYS = OF_ONE_STEP + OF_TWO_STEPS


@pytest.fixture
def ways(service: Service, client: httpx.Client, program: Program, provider: StubProvider) -> Ways:
    return Ways(service, client, program, provider)


@pytest.mark.parametrize("way", WAYS)
def test_no_log_in_beside_the_disabling_leaves_a_session(
    ways: Ways, way: Callable[[Ways], LogIn]
) -> None:
    way(ways)
    with ThreadPoolExecutor(1) as pool:
        for _ in range(ROUNDS):
            ways.program.change(ways.user_id, disabled=False)
            logging_in = pool.submit(way(ways))
            assert ways.program.change(ways.user_id, disabled=True).status_code == 200
            assert live_sessions(ways.service) == 0
            answered = logging_in.result()
            assert live_sessions(ways.service) == 0
            assert answered.status_code in {200, 401, 403}, answered.text
            if answered.status_code == 200:
                assert ways.client.get("/me", headers=opened(answered)).status_code == 401


@pytest.mark.parametrize("way", WAYS)
def test_every_way_in_ends_with_the_same_refusal_after_the_last_proof(
    ways: Ways, way: Callable[[Ways], LogIn]
) -> None:
    way(ways)
    ways.program.change(ways.user_id, disabled=True, disabled_reason="A secret of operators.")
    refused = way(ways)()

    assert problem(refused) == DISABLED
    assert live_sessions(ways.service) == 0
    assert "secret of operators" not in refused.text
    assert "set-cookie" not in refused.headers
    (line,) = [
        json.loads(line)
        for line in ways.service.logged().splitlines()
        if f'"{refused.headers["x-request-id"]}"' in line and '"audit"' in line
    ]
    assert (line["event"], line["user_id"]) == ("disabled_user_refused", ways.user_id)


@pytest.mark.parametrize("way", OF_TWO_STEPS)
def test_what_was_begun_before_the_disabling_is_void(
    ways: Ways, way: Callable[[Ways], LogIn]
) -> None:
    begun = way(ways)
    ways.program.change(ways.user_id, disabled=True)
    assert problem(begun()) == INVALID_CHALLENGE
    ways.program.change(ways.user_id, disabled=False)
    assert problem(begun()) == INVALID_CHALLENGE


def test_disabling_ends_all_sessions_and_enabling_wakes_none(
    program: Program, client: httpx.Client, service: Service
) -> None:
    token = token_of(sign_up(client))
    user_id = user_id_of(service)
    program.change(user_id, disabled=True)
    assert client.get("/me", headers=cookie(token)).status_code == 401
    program.change(user_id, disabled=False)
    assert client.get("/me", headers=cookie(token)).status_code == 401
    client.cookies.clear()
    assert log_in(client).status_code == 200


def test_disabling_removes_nothing_else(ways: Ways) -> None:
    ways.by_second_factor()
    ways.program.change(ways.user_id, disabled=True)
    ways.program.change(ways.user_id, disabled=False)
    assert ways.by_second_factor()().status_code == 200


def test_a_reset_changes_no_password_of_a_disabled_user(ways: Ways) -> None:
    ways.program.change(ways.user_id, disabled=True)
    path = f"{USERS}/{ways.user_id}/password-reset"
    token = ways.program.send("POST", path, json={"deliver": "return"}).json()["token"]
    assert problem(confirm_reset(ways.client, token, "another passphrase")) == DISABLED
    ways.program.change(ways.user_id, disabled=False)
    assert ways.by_password()().status_code == 200


def test_no_link_is_mailed_to_a_disabled_user_and_nothing_tells(
    program: Program, client: httpx.Client, service: Service, mailboxes: Mailboxes
) -> None:
    user_with_address(client, mailboxes)
    program.change(user_id_of(service), disabled=True)
    answers = [
        client.post("/password-reset", json={"identifier": each})
        for each in (ALICE, "nobody@example.org")
    ]
    assert [each.status_code for each in answers] == [202, 202]
    assert answers[0].content == answers[1].content
    # Requests are answered in their order.
    user_with_address(client, mailboxes, "bob@example.org")
    client.post("/password-reset", json={"identifier": "bob@example.org"})
    mailboxes.token("bob@example.org", "Reset")
    assert mailboxes.of(ALICE, "Reset") == []


def test_the_right_password_of_a_disabled_user_counts_as_a_log_in(
    services: ServicePool, client: httpx.Client
) -> None:
    """Each takes a hash, as a log-in does."""
    service = services.service({"OSTIARY_LOG_INS_PER_NAME_AND_ADDRESS": "2/1h"})
    program = Program(service, *Scope)
    with service.client() as other:
        sign_up(other)
        program.change(user_id_of(service), disabled=True)
        other.cookies.clear()
        answers = [problem(log_in(other)) for _ in range(3)]
    assert answers == [DISABLED, DISABLED, (429, "rate_limited")]


def test_the_right_password_of_a_disabled_user_costs_no_attempt(
    services: ServicePool, client: httpx.Client
) -> None:
    service = services.service({"OSTIARY_LOG_IN_FAILURES_PER_NAME": "1/1h"})
    program = Program(service, *Scope)
    with service.client() as other:
        sign_up(other)
        program.change(user_id_of(service), disabled=True)
        other.cookies.clear()
        assert {problem(log_in(other)) for _ in range(3)} == {DISABLED}
        assert problem(log_in(other, password="wrong")) == (401, "invalid_credentials")
        assert problem(log_in(other)) == (429, "rate_limited")
