"""Wrong codes have a budget of the user's, over all routes, addresses and log-ins."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.databases import execute, fetch_value
from tests.factories import sign_up
from tests.factors.conftest import (
    CHALLENGE,
    WRONG,
    MakeOwner,
    Owner,
    begin_set_up,
    confirm,
    problem,
    session_of,
)
from tests.factors.passkeys import (
    add_passkey,
    browser,
    complete,
    log_in_by_passkey,
    reauthenticate,
    reauthentication_options,
    second_factor,
)
from tests.mail.conftest import mail_environment, plain_url
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, Service
from tests.smtp_server import SMTPServer

LIMITED = (429, "rate_limited")
FAILURES = "SELECT count(*) FROM totp_failure"
HOUR = 3600


@pytest.fixture
def service(services: ServicePool, shared_smtp: SMTPServer) -> Service:
    """Return a service that believes what an address a proxy names; no other limit interferes."""
    environment = NO_LIMITS | {"OSTIARY_TRUSTED_PROXIES": "127.0.0.1"}
    return services.service(mail_environment(plain_url(shared_smtp), **environment))


def from_address(number: int) -> dict[str, str]:
    return {"X-Forwarded-For": f"198.51.100.{number}"}


def move_failures(service: Service, seconds: float) -> None:
    """Move the times of all wrong codes back."""
    execute(
        service.database_url,
        "UPDATE totp_failure SET failed_at = failed_at - make_interval(secs => $1)",
        seconds,
    )


def spend(owner: Owner, number: int, **fields: Any) -> list[tuple[int, str]]:
    """Send wrong codes, each in a log-in of its own. Return what they were answered."""
    wrong = owner.phone.wrong_code()
    return [problem(owner.complete(owner.challenge(**fields), wrong)) for _ in range(number)]


def test_log_ins_from_many_addresses_share_ten_wrong_codes_an_hour(
    service: Service, alice: Owner
) -> None:
    answers = []
    for number in range(1, 41):
        challenge = alice.challenge()
        wrong = alice.phone.wrong_code()
        answers += [
            problem(alice.complete(challenge, wrong, headers=from_address(number)))
            for _ in range(5)
        ]
    assert fetch_value(service.database_url, FAILURES) == 10
    assert answers.count(LIMITED) == 200 - 10
    refused = alice.complete(alice.challenge(), alice.phone.next_code())
    assert problem(refused) == LIMITED
    assert HOUR - 120 < int(refused.headers["retry-after"]) <= HOUR
    assert "second_factor_throttled" in service.logged()


def test_a_code_that_is_not_checked_spends_neither_itself_nor_a_try(
    service: Service, alice: Owner
) -> None:
    spend(alice, 10)
    challenge, code = alice.challenge(), alice.phone.next_code()
    for _ in range(10):
        assert problem(alice.complete(challenge, code)) == LIMITED
    assert fetch_value(service.database_url, FAILURES) == 10
    assert fetch_value(service.database_url, "SELECT max(last_step) FROM totp") == 0
    move_failures(service, HOUR)
    assert alice.complete(challenge, alice.phone.next_code()).status_code == 200


def test_recovery_codes_work_when_the_budget_is_spent(alice: Owner) -> None:
    spend(alice, 10)
    challenge = alice.challenge()
    assert problem(alice.complete(challenge, alice.phone.next_code())) == LIMITED
    done = alice.complete(challenge, alice.recovery_codes[0], "recovery_code")
    session = session_of(done)
    wrong = alice.phone.wrong_code()
    answers = [problem(alice.reauthenticate(session, wrong)) for _ in range(11)]
    assert answers == [WRONG] * 10 + [LIMITED]
    proven = alice.reauthenticate(session, alice.recovery_codes[1], "recovery_code")
    assert proven.status_code == 200


def test_passkeys_work_when_the_budget_is_spent(service: Service, alice: Owner) -> None:
    device = browser(service)
    add_passkey(alice.client, alice.session, device)
    spend(alice, 10)
    asked = second_factor(alice.client)
    assert problem(alice.complete(asked["challenge_token"], alice.phone.next_code())) == LIMITED
    session = session_of(complete(alice.client, asked, device))
    asked = reauthentication_options(alice.client, session)
    assert reauthenticate(alice.client, session, asked, device).status_code == 200
    assert log_in_by_passkey(alice.client, device).status_code == 200


def test_wrong_recovery_codes_spend_nothing_of_it(service: Service, alice: Owner) -> None:
    for _ in range(4):
        challenge = alice.challenge()
        for _ in range(5):
            alice.complete(challenge, "0" * 24, "recovery_code")
    assert fetch_value(service.database_url, FAILURES) == 0
    assert alice.complete(alice.challenge(), alice.phone.next_code()).status_code == 200


def test_a_code_that_was_used_spends_a_try_as_any_wrong_one(service: Service, alice: Owner) -> None:
    code = alice.phone.next_code()
    assert alice.complete(alice.challenge(), code).status_code == 200
    assert problem(alice.complete(alice.challenge(), code)) == WRONG
    assert fetch_value(service.database_url, FAILURES) == 1


def test_all_routes_that_take_codes_share_the_budget(
    service: Service, client: httpx.Client
) -> None:
    """Log-in, step-up and confirmation, in whatever order."""
    first = sign_up(client, transport="bearer").json()["session"]
    session = {"Authorization": f"Bearer {first['token']}"}
    phone = begin_set_up(client, service.database_url, session)
    wrong = phone.wrong_code()
    assert problem(confirm(client, session, wrong)) == WRONG
    # Without the device of the session, whose budget is another one.
    execute(service.database_url, "DELETE FROM device")
    assert [problem(confirm(client, session, wrong)) for _ in range(6)] == [WRONG] * 6
    confirmed = confirm(client, session, phone.code())
    alice = Owner(
        client=client,
        username="Alice",
        password="correct horse battery staple",
        session=session,
        phone=phone,
        recovery_codes=confirmed.json()["recovery_codes"],
    )
    assert spend(alice, 2) == [WRONG] * 2
    answers = [problem(alice.reauthenticate(session, wrong)) for _ in range(3)]
    assert answers == [WRONG, WRONG, LIMITED]
    refused = alice.reauthenticate(session, alice.phone.next_code())
    assert problem(refused) == LIMITED
    assert spend(alice, 1) == [LIMITED]


def test_a_confirmation_is_refused_when_the_budget_is_spent(
    service: Service, client: httpx.Client
) -> None:
    session = session_of(sign_up(client, transport="bearer"))
    phone = begin_set_up(client, service.database_url, session)
    answers = [problem(confirm(client, session, phone.wrong_code())) for _ in range(11)]
    assert answers == [WRONG] * 10 + [LIMITED]
    refused = confirm(client, session, phone.code())
    assert problem(refused) == LIMITED
    assert int(refused.headers["retry-after"]) > 0
    again = begin_set_up(client, service.database_url, session)
    assert problem(confirm(client, session, again.code())) == LIMITED
    move_failures(service, HOUR)
    assert confirm(client, session, again.code()).status_code == 200


def test_step_up_has_the_budget_of_the_device_of_its_session(
    service: Service, alice: Owner
) -> None:
    """Strangers who know the password cannot keep its user from stepping up."""
    spend(alice, 10)
    assert alice.reauthenticate(alice.session, alice.phone.next_code()).status_code == 200


def test_a_known_device_has_a_budget_of_its_own(service: Service, alice: Owner) -> None:
    device = alice.log_in().json()["session"]["device_token"]
    spend(alice, 10)
    assert problem(alice.complete(alice.challenge(), alice.phone.next_code())) == LIMITED
    on_it = alice.complete(alice.challenge(device_token=device), alice.phone.next_code())
    assert on_it.status_code == 200
    assert spend(alice, 11, device_token=device) == [WRONG] * 10 + [LIMITED]
    another = session_of(on_it)
    assert problem(alice.reauthenticate(another, alice.phone.next_code())) == LIMITED


def test_the_budget_of_a_device_spends_none_of_the_others(service: Service, alice: Owner) -> None:
    device = alice.log_in().json()["session"]["device_token"]
    spend(alice, 10, device_token=device)
    refused = alice.complete(alice.challenge(device_token=device), alice.phone.next_code())
    assert problem(refused) == LIMITED
    assert alice.complete(alice.challenge(), alice.phone.next_code()).status_code == 200


def test_a_device_of_another_user_has_no_budget(
    service: Service, alice: Owner, make_owner: MakeOwner
) -> None:
    """Else an attacker would have one with every user of their own."""
    bobby = make_owner("Bobby")
    device = bobby.log_in().json()["session"]["device_token"]
    spend(alice, 10)
    refused = alice.complete(alice.challenge(device_token=device), alice.phone.next_code())
    assert problem(refused) == LIMITED
    unknown = alice.complete(alice.challenge(device_token="A" * 43), alice.phone.next_code())
    assert problem(unknown) == LIMITED


def test_a_device_that_was_forgotten_has_no_budget(service: Service, alice: Owner) -> None:
    device = alice.log_in().json()["session"]["device_token"]
    spend(alice, 10)
    challenge = alice.challenge(device_token=device)
    execute(service.database_url, "DELETE FROM device")
    assert problem(alice.complete(challenge, alice.phone.next_code())) == LIMITED


def test_another_user_has_another_budget(alice: Owner, make_owner: MakeOwner) -> None:
    bobby = make_owner("Bobby")
    spend(alice, 10)
    assert bobby.log_in().status_code == 200


def test_after_an_hour_there_are_ten_again_and_thirty_a_day(service: Service, alice: Owner) -> None:
    for _ in range(3):
        assert spend(alice, 11) == [WRONG] * 10 + [LIMITED]
        move_failures(service, HOUR)
    refused = alice.complete(alice.challenge(), alice.phone.next_code())
    assert problem(refused) == LIMITED
    assert 21 * HOUR - 120 < int(refused.headers["retry-after"]) <= 21 * HOUR
    move_failures(service, 21 * HOUR)
    assert spend(alice, 11) == [WRONG] * 10 + [LIMITED]


def test_a_try_comes_back_when_the_oldest_failure_is_an_hour_old(
    service: Service, alice: Owner
) -> None:
    spend(alice, 1)
    move_failures(service, HOUR / 2)
    spend(alice, 9)
    refused = alice.complete(alice.challenge(), alice.phone.next_code())
    assert HOUR / 2 - 120 < int(refused.headers["retry-after"]) <= HOUR / 2
    move_failures(service, HOUR / 2)
    assert spend(alice, 2) == [WRONG, LIMITED]


def test_a_right_code_gives_no_try_back(service: Service, alice: Owner) -> None:
    spend(alice, 9)
    assert alice.complete(alice.challenge(), alice.phone.next_code()).status_code == 200
    assert spend(alice, 2) == [WRONG, LIMITED]


def test_neither_removal_nor_a_reset_of_the_app_gives_tries_back(
    service: Service, alice: Owner
) -> None:
    spend(alice, 10)
    client, session = alice.client, alice.session
    assert client.delete("/me/totp", headers=session).status_code == 204
    phone = begin_set_up(client, service.database_url, session)
    assert confirm(client, session, phone.code()).status_code == 200
    challenge = alice.challenge()
    assert problem(alice.complete(challenge, phone.next_code())) == LIMITED


def test_the_limits_are_settings(services: ServicePool) -> None:
    for variables, expected in (
        ({"OSTIARY_TOTP_FAILURES": "2/1h"}, [WRONG] * 2 + [LIMITED] * 4),
        (
            {"OSTIARY_TOTP_FAILURES": "0", "OSTIARY_TOTP_FAILURES_LONG_TERM": "3/1d"},
            [WRONG] * 3 + [LIMITED] * 3,
        ),
        (
            {"OSTIARY_TOTP_FAILURES": "0", "OSTIARY_TOTP_FAILURES_LONG_TERM": "0"},
            [WRONG] * 6,
        ),
    ):
        service = services.service(variables)
        with service.client() as client:
            name = f"user{len(expected)}{expected.count(WRONG)}"
            session = session_of(sign_up(client, name, transport="bearer"))
            phone = begin_set_up(client, service.database_url, session)
            wrong = phone.wrong_code()
            assert [problem(confirm(client, session, wrong)) for _ in range(6)] == expected


def test_the_budget_lasts_beyond_a_dead_challenge(service: Service, alice: Owner) -> None:
    challenge = alice.challenge()
    wrong = alice.phone.wrong_code()
    assert [problem(alice.complete(challenge, wrong)) for _ in range(6)] == (
        [WRONG] * 4 + [CHALLENGE] * 2
    )
    assert fetch_value(service.database_url, FAILURES) == 5
