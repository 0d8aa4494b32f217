"""Whoever knows the password and has no factor is told of; and what nobody needs is deleted."""

from __future__ import annotations

import json

from service.auth.audit import Event
from tests.databases import execute, fetch_value
from tests.factors.conftest import Owner
from tests.flows.conftest import ALICE, Mailboxes, command
from tests.services import Service, wait_for

SUBJECT = "Log-in stopped at the second factor"


def clean_up(service: Service) -> None:
    result = command("cleanup", DATABASE_URL=service.database_url)
    assert result.returncode == 0, result.stderr


def change_pending_log_ins(service: Service, members: dict[str, str]) -> None:
    """Set members of what is stored of the log-ins that wait for a second factor."""
    change = "UPDATE challenge SET data = data || $1 WHERE purpose = 'second_factor'"
    execute(service.database_url, change, json.dumps(members))


def let_time_pass(service: Service) -> None:
    """Let the time for the answers of all log-ins be over."""
    execute(
        service.database_url,
        "UPDATE challenge SET expires_at = now() WHERE purpose = 'second_factor'",
    )


def told(service: Service, mailboxes: Mailboxes) -> int:
    """Return how many mails tell of an abandoned log-in, once all mails are sent."""
    waiting = "SELECT count(*) FROM mail WHERE failed_at IS NULL"
    wait_for(lambda: fetch_value(service.database_url, waiting) == 0, "all mails are sent")
    return len(mailboxes.of(ALICE, SUBJECT))


def test_the_user_is_told_of_a_log_in_that_no_factor_has_completed(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    mailed_alice.challenge(device_name="Somebody's phone")
    let_time_pass(service)
    clean_up(service)
    mail = mailboxes.newest(ALICE, SUBJECT)
    assert "Somebody's phone" in mail.part("plain")
    assert "127.0.0.1" in mail.part("plain")
    remaining = "SELECT count(*) FROM challenge WHERE purpose = 'second_factor'"
    assert fetch_value(service.database_url, remaining) == 0


def test_wrong_codes_are_told_of_too(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    challenge = mailed_alice.challenge()
    for _ in range(6):
        mailed_alice.complete(challenge, mailed_alice.phone.wrong_code())
    let_time_pass(service)
    clean_up(service)
    mailboxes.newest(ALICE, SUBJECT)


def test_nobody_is_told_before_the_time_is_over(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    challenge = mailed_alice.challenge()
    clean_up(service)
    assert told(service, mailboxes) == 0
    completed = mailed_alice.complete(challenge, mailed_alice.phone.next_code())
    assert completed.status_code == 200
    let_time_pass(service)
    clean_up(service)
    assert told(service, mailboxes) == 0


def test_a_log_in_that_was_begun_anew_and_completed_is_not_told_of(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    mailed_alice.challenge()
    mailed_alice.log_in()
    let_time_pass(service)
    clean_up(service)
    assert told(service, mailboxes) == 0


def test_a_log_in_from_elsewhere_is_told_of_although_the_user_logged_in_meanwhile(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    mailed_alice.challenge()
    mailed_alice.log_in()
    change_pending_log_ins(service, {"address": "203.0.113.7"})
    let_time_pass(service)
    clean_up(service)
    assert "203.0.113.7" in mailboxes.newest(ALICE, SUBJECT).part("plain")


def test_log_ins_from_two_addresses_are_told_of_each(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    mailed_alice.challenge()
    change_pending_log_ins(service, {"address": "203.0.113.7"})
    mailed_alice.challenge()
    let_time_pass(service)
    clean_up(service)
    assert told(service, mailboxes) == 2


def test_many_attempts_from_one_address_are_one_mail_a_day(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    for _ in range(3):
        mailed_alice.challenge()
    let_time_pass(service)
    clean_up(service)
    mailed_alice.challenge()
    let_time_pass(service)
    clean_up(service)
    assert told(service, mailboxes) == 1


def test_a_log_in_that_a_later_version_began_keeps_no_other_from_being_told(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    mailed_alice.challenge()
    change_pending_log_ins(service, {"transport": "of a later version", "address": "203.0.113.7"})
    mailed_alice.challenge()
    let_time_pass(service)
    clean_up(service)
    assert told(service, mailboxes) == 1
    remaining = "SELECT count(*) FROM challenge WHERE purpose = 'second_factor'"
    assert fetch_value(service.database_url, remaining) == 0


def test_no_notice_is_sent_of_an_abandoned_log_in_without_a_password(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    mailed_alice.challenge()
    change_pending_log_ins(service, {"method": "oidc:example"})
    let_time_pass(service)
    clean_up(service)
    assert told(service, mailboxes) == 0


def test_a_log_in_that_no_factor_has_completed_is_in_the_audit_trail(
    service: Service, mailed_alice: Owner
) -> None:
    mailed_alice.challenge()
    let_time_pass(service)
    result = command("cleanup", DATABASE_URL=service.database_url, OSTIARY_LOG_FORMAT="json")
    (line,) = (each for each in result.stderr.splitlines() if Event.SECOND_FACTOR_ABANDONED in each)
    recorded = json.loads(line)
    user_id = fetch_value(service.database_url, 'SELECT id FROM "user"')
    assert (recorded["user_id"], recorded["address"]) == (str(user_id), "127.0.0.1")


def test_old_wrong_codes_and_nonces_are_deleted(service: Service, alice: Owner) -> None:
    challenge = alice.challenge()
    for _ in range(2):
        alice.complete(challenge, alice.phone.wrong_code())
    execute(
        service.database_url,
        """UPDATE totp_failure SET failed_at = now() - interval '25 hours'
           WHERE id = (SELECT min(id) FROM totp_failure)""",
    )
    execute(
        service.database_url,
        """INSERT INTO claimed_nonce (nonce, expires_at)
           VALUES ('old', now()), ('new', now() + interval '1 minute')""",
    )
    clean_up(service)
    assert fetch_value(service.database_url, "SELECT count(*) FROM totp_failure") == 1
    nonces = "SELECT string_agg(convert_from(nonce, 'UTF8'), ' ') FROM claimed_nonce"
    assert fetch_value(service.database_url, nonces) == "new"
