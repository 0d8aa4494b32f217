"""Guessing at codes: however many requests and networks there are, few guesses count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice

import httpx
import pytest

from service.model.challenges import MAX_FAILURES
from tests.databases import fetch_value
from tests.flows.conftest import (
    ALICE,
    Mailboxes,
    confirm_reset,
    log_in_by,
    problem,
    request_reset,
    sign_up_by_email,
    user_with_address,
    verify_sign_up,
    wrong,
)
from tests.flows.test_email_address import NEW, change, verify
from tests.mail.conftest import mail_environment, plain_url
from tests.service_pool import ServicePool
from tests.services import Service
from tests.smtp_server import SMTPServer

INVALID_CODE, INVALID_CHALLENGE = (401, "invalid_code"), (401, "invalid_challenge")

# As many as an address is mailed an hour, for one purpose.
MAILS = 5

COMPARED = "SELECT coalesce(sum(failures), 0)::int FROM challenge WHERE key_id IS NOT NULL"


@pytest.fixture
def service(services: ServicePool, shared_smtp: SMTPServer) -> Service:
    return services.service(
        mail_environment(plain_url(shared_smtp), OSTIARY_TRUSTED_PROXIES="127.0.0.1")
    )


@pytest.fixture
def attackers(service: Service) -> Iterator[Iterator[httpx.Client]]:
    """Return clients without end, each in a network of its own."""

    def client(number: int) -> httpx.Client:
        return service.client(headers={"X-Forwarded-For": f"203.0.{number // 200}.{number % 200}"})

    made: list[httpx.Client] = []

    def clients() -> Iterator[httpx.Client]:
        for number in count():
            made.append(client(number))
            yield made[-1]

    yield clients()
    for each in made:
        each.close()


def test_of_simultaneous_wrong_codes_five_are_compared(
    service: Service, client: httpx.Client, mailboxes: Mailboxes
) -> None:
    challenge = sign_up_by_email(client)
    code = mailboxes.code(ALICE)
    with ThreadPoolExecutor(40) as pool:
        answers = list(
            pool.map(
                lambda n: verify_sign_up(client, challenge, f"{(int(code) + n) % 10**8:08}"),
                range(1, 201),
            )
        )
    assert Counter(map(problem, answers)) == {
        INVALID_CODE: MAX_FAILURES - 1,
        INVALID_CHALLENGE: 200 - MAX_FAILURES + 1,
    }
    assert fetch_value(service.database_url, COMPARED) == MAX_FAILURES
    assert problem(verify_sign_up(client, challenge, code)) == INVALID_CHALLENGE
    assert fetch_value(service.database_url, 'SELECT count(*) FROM "user"') == 0


def guess_over_many_challenges(attackers: Iterator[httpx.Client], guess: str) -> None:
    for attacker in islice(attackers, 40):
        challenge = sign_up_by_email(attacker)
        answers = [problem(verify_sign_up(attacker, challenge, guess)) for _ in range(6)]
        assert answers == [INVALID_CODE] * 4 + [INVALID_CHALLENGE] * 2


def test_guesses_over_many_challenges_are_limited_by_the_mails(
    service: Service,
    client: httpx.Client,
    mailboxes: Mailboxes,
    attackers: Iterator[httpx.Client],
) -> None:
    """And what the owner of the address has begun goes on."""
    own = sign_up_by_email(client)
    code = mailboxes.code(ALICE)
    guess_over_many_challenges(attackers, wrong(code))
    assert fetch_value(service.database_url, "SELECT count(*) FROM challenge") == 41
    mailboxes.code(ALICE, number=MAILS)
    assert fetch_value(service.database_url, COMPARED) == MAX_FAILURES * (MAILS - 1)
    for _ in range(MAX_FAILURES - 1):
        assert problem(verify_sign_up(client, own, wrong(code))) == INVALID_CODE
    assert verify_sign_up(client, own, code).status_code == 201
    assert len(mailboxes.of(ALICE)) == MAILS


def test_guesses_at_a_taken_address_are_compared_with_nothing_and_lock_nobody_out(
    service: Service,
    client: httpx.Client,
    mailboxes: Mailboxes,
    attackers: Iterator[httpx.Client],
) -> None:
    user_with_address(client, mailboxes)
    guess_over_many_challenges(attackers, "00000000")
    assert fetch_value(service.database_url, COMPARED) == 0
    assert len(mailboxes.of(ALICE, "code")) == 1
    assert log_in_by(client, ALICE).status_code == 200
    request_reset(client, ALICE)
    assert confirm_reset(client, mailboxes.token(ALICE, "Reset")).status_code == 200


def test_guesses_at_the_codes_of_an_address_that_a_user_wants_are_limited_by_the_mails(
    service: Service, client: httpx.Client, mailboxes: Mailboxes
) -> None:
    session = user_with_address(client, mailboxes)
    for _ in range(MAILS + 1):
        challenge = change(client, session)
        answers = [problem(verify(client, session, challenge, "00000000")) for _ in range(5)]
        assert answers == [INVALID_CODE] * 4 + [INVALID_CHALLENGE]
    mailboxes.code(NEW, number=MAILS)
    assert fetch_value(service.database_url, COMPARED) == MAX_FAILURES * MAILS
    assert len(mailboxes.of(NEW)) == MAILS
