"""What happens at the same moment: a code opens one thing, whoever comes with it, and wherever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice

import httpx
import pytest

from tests.databases import fetch_value, held, wait_for_lock_waiters, wait_until
from tests.factories import log_in, sign_up
from tests.factors.conftest import (
    CHALLENGE,
    NOT_AUTHENTICATED,
    WRONG,
    Owner,
    Phone,
    begin_set_up,
    confirm,
    problem,
    session_of,
)
from tests.flows.conftest import ALICE, Mailboxes
from tests.mail.conftest import mail_environment, plain_url
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, Service
from tests.smtp_server import SMTPServer

THREADS = 30
LOCK_USER = 'SELECT FROM "user" FOR UPDATE'
LEFT = "SELECT count(*) FROM recovery_code"
OK = (200, "")

Send = Callable[[], httpx.Response]


@pytest.fixture
def service(services: ServicePool, shared_smtp: SMTPServer) -> Service:
    """Return a service of two worker processes."""
    environment = NO_LIMITS | {"OSTIARY_WORKERS": "2", "OSTIARY_MAIL_POLL_INTERVAL": "1s"}
    return services.service(mail_environment(plain_url(shared_smtp), **environment))


def at_once(service: Service, sends: list[Send], locked: str = LOCK_USER) -> list[tuple[int, str]]:
    """Send requests that all wait for the user, so that they go on at the same moment."""
    with ThreadPoolExecutor(len(sends)) as pool:
        with held(service.database_url, locked):
            answers = [pool.submit(send) for send in sends]
            wait_for_lock_waiters(service.database_url, 2 if len(sends) > 1 else 1)
        responses = [each.result() for each in answers]
    assert "Traceback" not in service.logged()
    assert max(each.status_code for each in responses) < 500
    return [answer_of(each) for each in responses]


def answer_of(response: httpx.Response) -> tuple[int, str]:
    return (204, "") if response.status_code == 204 else problem(response)


def test_a_code_at_two_log_ins_and_at_step_up_at_once_is_right_in_one(
    service: Service, alice: Owner
) -> None:
    challenges = [alice.challenge() for _ in range(5)]
    code = alice.phone.next_code()
    sends = [partial(alice.complete, each, code) for each in challenges]
    answers = at_once(service, [*sends, partial(alice.reauthenticate, alice.session, code)])
    assert Counter(answers) == {OK: 1, WRONG: 5}


def test_a_code_is_right_once_in_many_answers_to_one_challenge(
    service: Service, alice: Owner
) -> None:
    challenge, code = alice.challenge(), alice.phone.next_code()
    before = fetch_value(service.database_url, "SELECT count(*) FROM session")
    answers = at_once(service, [partial(alice.complete, challenge, code)] * THREADS)
    assert Counter(answers) == {OK: 1, CHALLENGE: THREADS - 1}
    assert fetch_value(service.database_url, "SELECT count(*) FROM session") == before + 1


def test_a_recovery_code_in_thirty_answers_to_two_challenges_is_used_once(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    alice = mailed_alice
    challenges = [alice.challenge(), alice.challenge()]
    sends: list[Send] = [
        partial(alice.complete, each, alice.recovery_codes[0], "recovery_code")
        for each in islice(cycle(challenges), THREADS)
    ]
    answers = Counter(at_once(service, sends))
    assert answers[OK] == 1
    assert answers.keys() == {OK, WRONG, CHALLENGE}
    assert fetch_value(service.database_url, LEFT) == 9
    mailboxes.newest(ALICE, "A recovery code was used")
    wait_until(service.database_url, "NOT EXISTS (SELECT FROM mail)")
    assert len(mailboxes.of(ALICE, "A recovery code was used")) == 1


def test_two_recovery_codes_at_one_challenge_open_one_session_and_burn_one_code(
    service: Service, alice: Owner
) -> None:
    challenge = alice.challenge()
    sends: list[Send] = [
        partial(alice.complete, challenge, code, "recovery_code") for code in alice.recovery_codes
    ]
    assert Counter(at_once(service, sends)) == {OK: 1, CHALLENGE: 9}
    assert fetch_value(service.database_url, LEFT) == 9


def test_two_confirmations_of_a_first_factor_at_once_give_one_set_of_recovery_codes(
    service: Service, client: httpx.Client
) -> None:
    session = session_of(sign_up(client, transport="bearer"))
    phone = begin_set_up(client, service.database_url, session)
    code = phone.code()
    with ThreadPoolExecutor(8) as pool:
        with held(service.database_url, LOCK_USER):
            sent = [pool.submit(confirm, client, session, code) for _ in range(8)]
            wait_for_lock_waiters(service.database_url, 2)
        answers = [each.result() for each in sent]
    assert Counter(map(problem, answers)) == {OK: 1, (409, "no_factor"): 7}
    assert fetch_value(service.database_url, LEFT) == 10


def test_confirmations_in_two_sessions_leave_one_of_them(
    service: Service, client: httpx.Client
) -> None:
    """The first factor ends all other sessions, and what those have begun."""
    session = session_of(sign_up(client, transport="bearer"))
    other = session_of(log_in(client, transport="bearer"))
    phone = begin_set_up(client, service.database_url, session)
    sends: list[Send] = [partial(confirm, client, each, phone.code()) for each in (session, other)]
    assert Counter(at_once(service, sends)) == {OK: 1, NOT_AUTHENTICATED: 1}
    assert fetch_value(service.database_url, "SELECT count(*) FROM session") == 1


def test_two_set_ups_at_once_leave_one_secret_that_can_be_confirmed(
    service: Service, client: httpx.Client
) -> None:
    session = session_of(sign_up(client, transport="bearer"))
    with ThreadPoolExecutor(8) as pool:
        with held(service.database_url, LOCK_USER):
            sent = [pool.submit(client.post, "/me/totp", headers=session) for _ in range(8)]
            wait_for_lock_waiters(service.database_url, 2)
        answers = [each.result() for each in sent]
    assert {each.status_code for each in answers} == {201}
    for table in ("totp", "sealed_secret"):
        assert fetch_value(service.database_url, f"SELECT count(*) FROM {table}") == 1
    phones = [Phone(service.database_url, each.json()["secret"]) for each in answers]
    confirmed = [confirm(client, session, each.code()).status_code for each in phones]
    assert confirmed.count(200) == 1


CHANGES = ["set-up", "confirmation", "removal", "new codes"]


@pytest.mark.parametrize("change", CHANGES)
def test_a_session_that_ends_while_a_change_waits_changes_nothing(
    service: Service, client: httpx.Client, alice: Owner, change: str
) -> None:
    session, phone = alice.session, alice.phone
    if change in {"set-up", "confirmation"}:
        session = session_of(sign_up(client, "Bobby", transport="bearer"))
    if change == "confirmation":
        phone = begin_set_up(client, service.database_url, session)
    code = phone.next_code()
    sends: dict[str, Send] = {
        "set-up": partial(client.post, "/me/totp", headers=session),
        "confirmation": partial(confirm, client, session, code),
        "removal": partial(client.delete, "/me/totp", headers=session),
        "new codes": partial(client.post, "/me/recovery-codes", headers=session),
    }
    tables = ("totp", "sealed_secret", "recovery_code")
    rows = [f"SELECT CAST(array_agg(t) AS text) FROM {table} AS t" for table in tables]
    before = [fetch_value(service.database_url, each) for each in rows]
    ending = f"{LOCK_USER}; DELETE FROM session"
    with ThreadPoolExecutor(1) as pool:
        with held(service.database_url, ending, end="COMMIT"):
            answer = pool.submit(sends[change])
            wait_for_lock_waiters(service.database_url)
        assert problem(answer.result()) == NOT_AUTHENTICATED
    assert [fetch_value(service.database_url, each) for each in rows] == before


def test_wrong_codes_in_parallel_never_exceed_the_budget(service: Service, alice: Owner) -> None:
    challenges = [alice.challenge() for _ in range(THREADS)]
    wrong = alice.phone.wrong_code()
    answers = at_once(service, [partial(alice.complete, each, wrong) for each in challenges])
    assert Counter(answers) == {WRONG: 10, (429, "rate_limited"): THREADS - 10}
    assert fetch_value(service.database_url, "SELECT count(*) FROM totp_failure") == 10


def test_wrong_codes_in_parallel_never_exceed_the_tries_of_a_challenge(
    service: Service, alice: Owner
) -> None:
    challenge = alice.challenge()
    wrong = partial(alice.complete, challenge, "0" * 24, "recovery_code")
    answers = at_once(service, [wrong] * THREADS)
    assert Counter(answers) == {WRONG: 4, CHALLENGE: THREADS - 4}
    assert fetch_value(service.database_url, "SELECT failures FROM challenge") == 5


def test_a_removal_beside_log_ins_leaves_no_session_that_the_factor_has_proven(
    service: Service, alice: Owner
) -> None:
    codes = iter(alice.recovery_codes)
    challenges = [alice.challenge() for _ in range(5)]
    sends: list[Send] = [
        partial(alice.complete, each, next(codes), "recovery_code") for each in challenges
    ]
    sends.insert(2, partial(alice.complete, alice.challenge(), alice.phone.next_code()))
    sends.insert(3, partial(alice.client.delete, "/me/totp", headers=alice.session))
    answers = at_once(service, sends)
    assert set(answers) <= {OK, (204, ""), CHALLENGE}
    assert (204, "") in answers
    proven = "SELECT count(*) FROM session WHERE methods ? 'totp'"
    assert fetch_value(service.database_url, proven) == 0
    assert fetch_value(service.database_url, LEFT) == 0


def test_a_first_factor_beside_log_ins_leaves_none_that_it_has_not_proven(
    service: Service, client: httpx.Client
) -> None:
    session = session_of(sign_up(client, transport="bearer"))
    phone = begin_set_up(client, service.database_url, session)
    code = phone.code()
    sends: list[Send] = [partial(log_in, client, transport="bearer") for _ in range(10)]
    sends.insert(5, partial(confirm, client, session, code))
    answers = at_once(service, sends)
    assert answers[5] == OK
    assert set(answers) <= {
        OK,
        (401, "second_factor_required"),
        (401, "invalid_credentials"),
    }
    assert fetch_value(service.database_url, "SELECT count(*) FROM session") == 1


def test_a_renewal_of_codes_beside_their_use_leaves_new_ones_only(
    service: Service, alice: Owner
) -> None:
    sends: list[Send] = [
        partial(alice.reauthenticate, alice.session, alice.recovery_codes[0], "recovery_code"),
        partial(alice.client.post, "/me/recovery-codes", headers=alice.session),
    ]
    answers = at_once(service, sends)
    assert set(answers) <= {OK, (201, ""), WRONG, NOT_AUTHENTICATED}
    refused = problem(alice.complete(alice.challenge(), alice.recovery_codes[0], "recovery_code"))
    assert refused == WRONG
    assert fetch_value(service.database_url, LEFT) in {9, 10}


def test_two_renewals_at_once_leave_one_set_of_ten(service: Service, alice: Owner) -> None:
    send = partial(alice.client.post, "/me/recovery-codes", headers=alice.session)
    assert Counter(at_once(service, [send] * 8)) == {(201, ""): 8}
    assert fetch_value(service.database_url, LEFT) == 10


def test_a_deletion_of_the_user_beside_an_answer(service: Service, alice: Owner) -> None:
    sends: list[Send] = [
        partial(alice.complete, alice.challenge(), alice.phone.next_code()),
        partial(alice.client.delete, "/me", headers=alice.session),
    ]
    answers = at_once(service, sends)
    assert answers[1] == (204, "")
    assert answers[0] in {OK, CHALLENGE}
    for table in ("totp", "recovery_code", "session", "challenge", "sealed_secret"):
        assert fetch_value(service.database_url, f"SELECT count(*) FROM {table}") == 0


def test_a_database_that_cannot_be_reached_burns_no_code(service: Service, alice: Owner) -> None:
    """What is cut is begun again: neither the code nor a try is gone."""
    challenge, code = alice.challenge(), alice.phone.next_code()
    terminate = """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'ostiary' AND datname = current_database()
          AND cardinality(pg_blocking_pids(pid)) > 0
    """
    with ThreadPoolExecutor(1) as pool, held(service.database_url, LOCK_USER):
        answer = pool.submit(alice.complete, challenge, code)
        wait_for_lock_waiters(service.database_url)
        fetch_value(service.database_url, terminate)
        assert problem(answer.result()) == (503, "database_unavailable")
    assert fetch_value(service.database_url, "SELECT max(last_step) FROM totp") == 0
    assert fetch_value(service.database_url, "SELECT failures FROM challenge") == 0
    assert alice.complete(challenge, code).status_code == 200
