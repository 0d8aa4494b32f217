"""Who exists cannot be told by what a request costs the database, nor by its refusals."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import httpx
import pytest

from tests.databases import TestServer, execute, wait_until
from tests.factories import log_in, sign_up
from tests.factors.conftest import owner_of
from tests.flows.conftest import NEW_PASSWORD, Mailboxes, opened, user_with_address
from tests.mail.conftest import mail_environment, plain_url
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, Service, wait_for, wait_until_measured
from tests.smtp_server import SMTPServer

KNOWN, UNVERIFIED, UNKNOWN = "known@example.org", "unverified@example.org", "nobody@example.org"
PEOPLE = [
    *("Known", KNOWN, "Nameonly", "Factored", "Unverified", UNVERIFIED),
    *("Nobody", UNKNOWN, "no name", "a@"),
]

HOME = "192.0.2.1"

# What marks the transactions of background tasks.
BACKGROUND = re.compile(r"DELETE FROM reset_request|(FROM|UPDATE) mail\b")


@pytest.fixture
def service(postgresql: TestServer, services: ServicePool, shared_smtp: SMTPServer) -> Service:
    """Return a service that mails and whose statements are recorded."""
    postgresql.record_statements(services.database_url)
    environment = mail_environment(
        plain_url(shared_smtp),
        OSTIARY_LOG_LEVEL="debug",
        OSTIARY_TRUSTED_PROXIES="127.0.0.1",
        **NO_LIMITS | {"OSTIARY_MAIL_REQUESTS_PER_ADDRESS": "20/1h"},
    )
    service = services.service(environment)
    wait_until_measured(service)
    wait_for(
        lambda: postgresql.has_executed(services.database_url, "DELETE FROM rate_limit"),
        "the cleanup has run",
    )
    return service


@pytest.fixture
def people(service: Service, mailboxes: Mailboxes) -> None:
    """Make users: with a name and an address, a name, an app, and an unverified address."""
    with service.client() as client:
        user_with_address(client, mailboxes, KNOWN, "Known")
        session = opened(sign_up(client, "Factored", transport="bearer"))
        owner_of(client, service.database_url, session, "Factored")
        for name in ("Nameonly", "Unverified"):
            sign_up(client, name, transport="bearer")
    execute(
        service.database_url,
        """INSERT INTO key (provider, name, user_id, display_name, password_hash, password_scheme)
           SELECT 'email', $1, user_id, $1, password_hash, password_scheme
           FROM key WHERE name = 'unverified'""",
        UNVERIFIED,
    )


def at(service: Service, address: str) -> httpx.Client:
    return service.client(headers={"X-Forwarded-For": address})


class Recorded:
    """What requests send to the database until they are answered."""

    def __init__(self, postgresql: TestServer, service: Service) -> None:
        self._postgresql = postgresql
        self._service = service
        self._requests = 0

    def during(self, send: Callable[[httpx.Client], httpx.Response]) -> list[tuple[str, ...]]:
        """Return the transactions of a request from a network of its own."""
        self._settle()
        before = len(self._all())
        self._requests += 1
        with at(self._service, f"198.51.100.{self._requests}") as client:
            send(client)
        self._settle()
        return self._all()[before:]

    def _all(self) -> list[tuple[str, ...]]:
        transactions = self._postgresql.transactions(self._service.database_url)
        return [each for each in transactions if not any(BACKGROUND.search(line) for line in each)]

    def _settle(self) -> None:
        """Wait until the background has done what was asked of it."""
        for table in ("reset_request", "mail"):
            wait_until(self._service.database_url, f"NOT EXISTS (SELECT FROM {table})")


@pytest.fixture
def recorded(postgresql: TestServer, service: Service, people: None) -> Recorded:
    return Recorded(postgresql, service)


def ask_for_reset(client: httpx.Client, identifier: str) -> httpx.Response:
    response = client.post("/password-reset", json={"identifier": identifier})
    assert (response.status_code, response.json()) == (202, {})
    return response


def ask_to_sign_up(client: httpx.Client, address: str) -> httpx.Response:
    response = client.post("/signup/email", json={"email": address})
    assert response.status_code == 202
    return response


def fail_to_log_in(client: httpx.Client, identifier: str) -> httpx.Response:
    response = log_in(client, identifier, password="wrong")
    assert response.status_code == 401
    return response


def all_alike(recorded: Recorded, sends: list[Callable[[httpx.Client], httpx.Response]]) -> None:
    """Compare what each request sends with what the first one does, which is something."""
    sent = [recorded.during(send) for send in sends]
    assert sent[0]
    for each in sent[1:]:
        assert each == sent[0]


def test_a_reset_costs_the_same_whoever_is_meant(recorded: Recorded) -> None:
    all_alike(recorded, [partial(ask_for_reset, identifier=each) for each in PEOPLE])


def test_a_reset_costs_the_same_when_no_more_links_are_mailed(recorded: Recorded) -> None:
    """Five links an hour go to an address."""
    all_alike(
        recorded, [partial(ask_for_reset, identifier=each) for each in [UNKNOWN, *[KNOWN] * 7]]
    )


def test_a_sign_up_costs_the_same_whoever_has_the_address(recorded: Recorded) -> None:
    addresses = [UNKNOWN, KNOWN, "KNOWN@example.org", UNVERIFIED]
    all_alike(recorded, [partial(ask_to_sign_up, address=each) for each in addresses])


def test_a_sign_up_costs_the_same_when_no_more_mails_are_sent(recorded: Recorded) -> None:
    """A user was mailed once more, when they signed up."""
    for address, times in ((UNKNOWN, 5), (KNOWN, 4)):
        for _ in range(times):
            recorded.during(partial(ask_to_sign_up, address=address))
    all_alike(recorded, [partial(ask_to_sign_up, address=each) for each in (UNKNOWN, KNOWN)])


def answer_wrongly(client: httpx.Client, token: str) -> httpx.Response:
    body = {"challenge_token": token, "code": "00000000", "password": NEW_PASSWORD}
    response = client.post("/signup/email/verify", json=body)
    assert response.status_code == 401
    return response


def test_a_wrong_code_costs_the_same_whoever_has_the_address(
    service: Service, recorded: Recorded
) -> None:
    tokens = []
    for address in (UNKNOWN, KNOWN):
        with at(service, HOME) as client:
            tokens.append(ask_to_sign_up(client, address).json()["challenge_token"])
    for _ in range(6):
        all_alike(recorded, [partial(answer_wrongly, token=each) for each in tokens])


def test_a_refused_log_in_costs_the_same_whoever_is_meant(recorded: Recorded) -> None:
    all_alike(recorded, [partial(fail_to_log_in, identifier=each) for each in PEOPLE])


@pytest.mark.parametrize(
    ("path", "field"), [("/password-reset", "identifier"), ("/signup/email", "email")]
)
def test_requests_for_mail_are_refused_alike_whoever_is_meant(
    service: Service, people: None, path: str, field: str
) -> None:
    def sequence(network: int, text: str) -> list[int]:
        with at(service, f"203.0.113.{network}") as client:
            return [client.post(path, json={field: text}).status_code for _ in range(25)]

    found = [sequence(*each) for each in enumerate((KNOWN, UNKNOWN, UNVERIFIED))]
    assert found == [[202] * 20 + [429] * 5] * 3


@pytest.mark.parametrize("path", ["/password-reset", "/signup/email"])
def test_requests_from_many_networks_are_never_refused(
    service: Service, people: None, path: str
) -> None:
    """Neither those that a user is mailed at, nor those beyond what they may be mailed."""
    field = "identifier" if path == "/password-reset" else "email"
    for text in (KNOWN, UNKNOWN):
        for network in range(25):
            with at(service, f"203.0.113.{network}") as client:
                assert client.post(path, json={field: text}).status_code == 202


def test_log_ins_are_refused_alike_whoever_is_meant(
    services: ServicePool, mailboxes: Mailboxes, shared_smtp: SMTPServer, people: None
) -> None:
    limited = services.service(
        mail_environment(plain_url(shared_smtp), OSTIARY_TRUSTED_PROXIES="127.0.0.1")
    )

    def sequence(network: int, text: str) -> list[int]:
        with at(limited, f"203.0.113.{network}") as client:
            return [log_in(client, text, password="wrong").status_code for _ in range(25)]

    first, *others = [sequence(*each) for each in enumerate(("Known", KNOWN, "Nobody", UNKNOWN))]
    assert set(first) == {401, 429}
    assert others == [first] * len(others)
