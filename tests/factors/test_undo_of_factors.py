"""Undo: who added a factor with a stolen password does not lock the owner out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.databases import execute, fetch_value, name_of, wait_until
from tests.factors.conftest import (
    CHALLENGE,
    NOT_AUTHENTICATED,
    REQUIRED,
    WRONG,
    Owner,
    methods_of,
    owner_of,
    problem,
    session_of,
)
from tests.factors.passkeys import add_passkey, browser
from tests.flows.conftest import (
    ALICE,
    NEW_PASSWORD,
    Mailboxes,
    confirm_reset,
    log_in_by,
    opened,
    user_with_address,
)
from tests.mail.conftest import mail_environment, plain_url
from tests.services import Service, running
from tests.smtp_server import SMTPServer

THIRD = "a third and longer passphrase"
ADDED = "A second factor was added"
AFTER_UNDO = "Choose a new password"
TABLES = ["totp", "sealed_secret", "recovery_code", "session"]


@pytest.fixture
def owner(client: httpx.Client, mailboxes: Mailboxes) -> dict[str, str]:
    """Return the session of a user without a factor, whose password somebody else knows."""
    return user_with_address(client, mailboxes, username="Alice")


def undo(client: httpx.Client, token: str) -> httpx.Response:
    return client.post("/undo", json={"token": token})


def test_the_owner_gets_back_in_after_a_thief_has_set_up_a_factor(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, owner: dict[str, str]
) -> None:
    theirs = opened(log_in_by(client, "Alice"))
    thief = owner_of(client, service.database_url, theirs, "Alice", NEW_PASSWORD)
    assert problem(client.get("/me", headers=owner)) == NOT_AUTHENTICATED
    waiting = thief.challenge()
    assert undo(client, mailboxes.token(ALICE, ADDED)).status_code == 204
    for table in TABLES:
        assert fetch_value(service.database_url, f"SELECT count(*) FROM {table}") == 0
    assert problem(client.get("/me", headers=theirs)) == NOT_AUTHENTICATED
    assert problem(log_in_by(client, "Alice")) == (401, "invalid_credentials")
    assert problem(thief.complete(waiting, thief.phone.next_code())) == CHALLENGE
    refused = thief.complete(waiting, thief.recovery_codes[0], "recovery_code")
    assert problem(refused) == CHALLENGE
    done = confirm_reset(client, mailboxes.token(ALICE, AFTER_UNDO), THIRD)
    assert methods_of(done) == ["reset"]
    assert log_in_by(client, "Alice", THIRD).status_code == 200


def test_who_keeps_their_address_is_not_told_that_it_was_changed(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, owner: dict[str, str]
) -> None:
    owner_of(client, service.database_url, owner, "Alice", NEW_PASSWORD)
    assert undo(client, mailboxes.token(ALICE, ADDED)).status_code == 204
    wait_until(service.database_url, "NOT EXISTS (SELECT FROM mail)")
    assert mailboxes.of(ALICE, "Your address was changed") == []
    assert len(mailboxes.of(ALICE, AFTER_UNDO)) == 1


def test_the_link_is_used_once(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, owner: dict[str, str]
) -> None:
    owner_of(client, service.database_url, owner, "Alice", NEW_PASSWORD)
    token = mailboxes.token(ALICE, ADDED)
    assert undo(client, token).status_code == 204
    assert problem(undo(client, token)) == CHALLENGE


def test_changes_of_the_thief_do_not_void_the_link(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, owner: dict[str, str]
) -> None:
    """Other codes, another app, another password: all move the security version."""
    thief = owner_of(client, service.database_url, owner, "Alice", NEW_PASSWORD)
    token = mailboxes.token(ALICE, ADDED)
    assert client.post("/me/recovery-codes", headers=owner).status_code == 201
    body = {"current_password": NEW_PASSWORD, "new_password": "the password of the thief"}
    session = session_of(client.put("/me/password", json=body, headers=owner))
    assert client.delete("/me/totp", headers=session).status_code == 204
    again = owner_of(client, service.database_url, session, "Alice", "the password of the thief")
    assert again.phone.secret != thief.phone.secret
    later = mailboxes.token(ALICE, ADDED, number=2)
    assert undo(client, token).status_code == 204
    for table in TABLES:
        assert fetch_value(service.database_url, f"SELECT count(*) FROM {table}") == 0
    assert problem(undo(client, later)) == CHALLENGE


def test_an_older_factor_stays_and_is_asked_for(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, owner: dict[str, str]
) -> None:
    """The link of a change of the address is later than the app."""
    alice = owner_of(client, service.database_url, owner, "Alice", NEW_PASSWORD)
    sent = client.put("/me/email", json={"email": "thief@example.com"}, headers=owner).json()
    body = {
        "challenge_token": sent["challenge_token"],
        "code": mailboxes.code("thief@example.com"),
    }
    assert client.post("/me/email/verify", json=body, headers=owner).status_code == 200
    assert undo(client, mailboxes.token(ALICE, "Your address was changed")).status_code == 204
    assert fetch_value(service.database_url, "SELECT count(*) FROM totp") == 1
    assert fetch_value(service.database_url, "SELECT count(*) FROM recovery_code") == 10
    begun = confirm_reset(client, mailboxes.token(ALICE, AFTER_UNDO), THIRD)
    assert problem(begun) == REQUIRED
    done = alice.complete(begun.json()["challenge_token"], alice.phone.next_code())
    assert methods_of(done) == ["reset", "totp"]


def test_recovery_codes_of_after_the_link_go_with_it(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, owner: dict[str, str]
) -> None:
    alice = owner_of(client, service.database_url, owner, "Alice", NEW_PASSWORD)
    sent = client.put("/me/email", json={"email": "thief@example.com"}, headers=owner).json()
    body = {
        "challenge_token": sent["challenge_token"],
        "code": mailboxes.code("thief@example.com"),
    }
    assert client.post("/me/email/verify", json=body, headers=owner).status_code == 200
    codes = client.post("/me/recovery-codes", headers=owner).json()["recovery_codes"]
    assert undo(client, mailboxes.token(ALICE, "Your address was changed")).status_code == 204
    assert fetch_value(service.database_url, "SELECT count(*) FROM recovery_code") == 0
    begun = confirm_reset(client, mailboxes.token(ALICE, AFTER_UNDO), THIRD).json()
    assert begun["methods"] == ["totp"]
    refused = alice.complete(begun["challenge_token"], codes[0], "recovery_code")
    assert problem(refused) == WRONG


def test_codes_of_before_the_link_go_with_the_last_factor(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, owner: dict[str, str]
) -> None:
    owner_of(client, service.database_url, owner, "Alice", NEW_PASSWORD)
    add_passkey(client, owner, browser(service))
    token = mailboxes.token(ALICE, ADDED, number=2)
    assert client.delete("/me/totp", headers=owner).status_code == 204
    assert fetch_value(service.database_url, "SELECT count(*) FROM recovery_code") == 10
    assert undo(client, token).status_code == 204
    for table in (*TABLES, "passkey"):
        assert fetch_value(service.database_url, f"SELECT count(*) FROM {table}") == 0
    done = confirm_reset(client, mailboxes.token(ALICE, AFTER_UNDO), THIRD)
    assert methods_of(done) == ["reset"]


def test_an_app_that_was_not_confirmed_is_confirmed_by_nobody_afterwards(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, owner: dict[str, str]
) -> None:
    owner_of(client, service.database_url, owner, "Alice", NEW_PASSWORD)
    token = mailboxes.token(ALICE, ADDED)
    assert client.delete("/me/totp", headers=owner).status_code == 204
    assert client.post("/me/totp", headers=owner).status_code == 201
    assert undo(client, token).status_code == 204
    refused = client.post("/me/totp/confirm", json={"code": "123456"}, headers=owner)
    assert problem(refused) == NOT_AUTHENTICATED


def test_a_reset_that_waits_for_a_factor_of_the_thief_ends(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, owner: dict[str, str]
) -> None:
    thief: Owner = owner_of(client, service.database_url, owner, "Alice", NEW_PASSWORD)
    token = mailboxes.token(ALICE, ADDED)
    client.post("/password-reset", json={"identifier": "Alice"})
    begun = confirm_reset(client, mailboxes.token(ALICE, "Reset"), "chosen by the thief")
    assert problem(begun) == REQUIRED
    assert undo(client, token).status_code == 204
    refused = thief.complete(begun.json()["challenge_token"], thief.phone.next_code())
    assert problem(refused) == CHALLENGE
    waiting = "SELECT count(*) FROM challenge WHERE purpose = 'second_factor'"
    assert fetch_value(service.database_url, waiting) == 0


def test_a_user_without_an_address_gets_no_link(
    service: Service, client: httpx.Client, owner: dict[str, str]
) -> None:
    execute(service.database_url, "UPDATE key SET verified_at = NULL")
    owner_of(client, service.database_url, owner, "Alice", NEW_PASSWORD)
    links = "SELECT count(*) FROM challenge WHERE purpose = 'undo'"
    assert fetch_value(service.database_url, links) == 0


def test_a_database_whose_clocks_go_back_meanwhile_does_not_keep_the_factor_of_the_thief(
    database_url: str, tmp_path: Path, shared_smtp: SMTPServer
) -> None:
    """Three days of 24 hours each, wherever the database is: the link takes back what is later."""
    summer_ends = datetime.now(UTC) + timedelta(days=1)
    rule = f"AAA0BBB,J{julian_day(summer_ends - timedelta(days=60))},J{julian_day(summer_ends)}"
    name = name_of(database_url)
    execute(database_url, f"ALTER DATABASE {name} SET timezone = '{rule}'")
    environment = mail_environment(plain_url(shared_smtp), OSTIARY_MAIL_POLL_INTERVAL="1s")
    with (
        running(database_url, tmp_path / "service.log", environment) as service,
        service.client() as client,
    ):
        mailboxes = Mailboxes(shared_smtp)
        theirs = user_with_address(client, mailboxes, username="Alice")
        owner_of(client, database_url, theirs, "Alice", NEW_PASSWORD)
        assert undo(client, mailboxes.token(ALICE, ADDED)).status_code == 204
        assert fetch_value(database_url, "SELECT count(*) FROM totp") == 0


def julian_day(moment: datetime) -> int:
    """Return the day of the year as POSIX counts it in time zones, without 29 February."""
    return int(moment.replace(year=2001).strftime("%j"))
