"""A reset of the password does not step over the second factor."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.databases import execute, fetch_value, wait_until
from tests.factories import bearer
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
from tests.flows.conftest import (
    ALICE,
    NEW_PASSWORD,
    Mailboxes,
    command,
    confirm_reset,
    log_in_by,
    request_reset,
)
from tests.flows.test_nothing_usable_at_rest import dump
from tests.mail.conftest import mail_environment
from tests.services import Service

THIRD = "a third and longer passphrase"
HASHES = "SELECT array_agg(DISTINCT password_hash) FROM key"


def mailed_link(service: Service, owner: Owner, mailboxes: Mailboxes) -> str:
    request_reset(owner.client, ALICE)
    return mailboxes.token(ALICE, "Reset")


def link_of_operator(service: Service, owner: Owner, mailboxes: Mailboxes) -> str:
    environment = mail_environment("smtp+plain://127.0.0.1:1")
    made = command("user", "reset-link", "Alice", DATABASE_URL=service.database_url, **environment)
    assert made.returncode == 0, made.stderr
    return made.stdout.partition("token=")[2].partition("\n")[0]


LINKS = pytest.mark.parametrize("link", [mailed_link, link_of_operator])


def asked(response: httpx.Response) -> str:
    """Return the token of the challenge with which a confirmed link was answered."""
    assert problem(response) == REQUIRED, response.text
    assert "set-cookie" not in response.headers
    assert response.headers["cache-control"] == "no-store"
    assert response.json()["methods"] == ["totp", "recovery_code"]
    token: str = response.json()["challenge_token"]
    return token


@LINKS
def test_a_link_changes_nothing_before_the_factor(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes, link: Any
) -> None:
    alice, before = mailed_alice, fetch_value(service.database_url, HASHES)
    token = link(service, alice, mailboxes)
    asked(confirm_reset(alice.client, token, THIRD))
    assert fetch_value(service.database_url, HASHES) == before
    assert alice.client.get("/me", headers=alice.session).status_code == 200
    assert problem(log_in_by(alice.client, "Alice", THIRD)) == (401, "invalid_credentials")
    assert problem(log_in_by(alice.client, "Alice")) == REQUIRED
    assert problem(confirm_reset(alice.client, token, THIRD)) == CHALLENGE
    wait_until(service.database_url, "NOT EXISTS (SELECT FROM mail)")
    assert mailboxes.of(ALICE, "Your password was changed") == []


@LINKS
@pytest.mark.parametrize("method", ["totp", "recovery_code"])
def test_the_factor_sets_the_password_and_ends_all_sessions(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes, link: Any, method: str
) -> None:
    alice = mailed_alice
    waiting = alice.challenge()
    challenge = asked(confirm_reset(alice.client, link(service, alice, mailboxes), THIRD))
    code = alice.recovery_codes[0] if method == "recovery_code" else alice.phone.next_code()
    done = alice.complete(challenge, code, method)
    assert methods_of(done) == ["reset", method]
    session = session_of(done)
    assert alice.client.get("/me/export", headers=session).status_code == 200
    assert problem(alice.client.get("/me", headers=alice.session)) == NOT_AUTHENTICATED
    assert problem(alice.complete(waiting, alice.phone.next_code())) == CHALLENGE
    assert problem(alice.complete(challenge, alice.phone.next_code())) == CHALLENGE
    assert problem(log_in_by(alice.client, "Alice", NEW_PASSWORD)) == (401, "invalid_credentials")
    assert problem(log_in_by(alice.client, "Alice", THIRD)) == REQUIRED
    mailboxes.newest(ALICE, "Your password was changed")
    assert "password_reset" in service.logged()


def test_a_wrong_code_sets_nothing_and_the_fifth_ends_the_reset(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    alice, before = mailed_alice, fetch_value(service.database_url, HASHES)
    challenge = asked(confirm_reset(alice.client, mailed_link(service, alice, mailboxes), THIRD))
    wrong = alice.phone.wrong_code()
    answers = [problem(alice.complete(challenge, wrong)) for _ in range(5)]
    assert answers == [WRONG] * 4 + [CHALLENGE]
    assert problem(alice.complete(challenge, alice.phone.next_code())) == CHALLENGE
    assert fetch_value(service.database_url, HASHES) == before
    assert alice.client.get("/me", headers=alice.session).status_code == 200


def test_a_change_of_the_password_ends_a_reset_that_waits(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    alice = mailed_alice
    challenge = asked(confirm_reset(alice.client, mailed_link(service, alice, mailboxes), THIRD))
    body = {"current_password": NEW_PASSWORD, "new_password": "chosen by the owner meanwhile"}
    assert alice.client.put("/me/password", json=body, headers=alice.session).status_code == 200
    assert problem(alice.complete(challenge, alice.phone.next_code())) == CHALLENGE
    assert problem(log_in_by(alice.client, "Alice", THIRD)) == (401, "invalid_credentials")


def test_the_challenge_holds_the_hash_of_the_password_and_not_the_password(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    alice = mailed_alice
    token = mailed_link(service, alice, mailboxes)
    challenge = asked(confirm_reset(alice.client, token, THIRD))
    stored = dump(service.database_url)
    for secret in (THIRD, token, challenge):
        assert secret not in stored
        assert secret not in service.logged()
    assert "$argon2id$" in fetch_value(
        service.database_url,
        "SELECT CAST(data AS text) FROM challenge WHERE purpose = 'second_factor'",
    )


def test_two_links_are_one_reset(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    """Two challenges wait; the one that is completed ends the other."""
    alice = mailed_alice
    first = asked(confirm_reset(alice.client, mailed_link(service, alice, mailboxes), THIRD))
    by_operator = link_of_operator(service, alice, mailboxes)
    second = asked(confirm_reset(alice.client, by_operator, "yet another passphrase"))
    assert alice.complete(first, alice.phone.next_code()).status_code == 200
    assert problem(alice.complete(second, alice.phone.next_code())) == CHALLENGE
    assert problem(log_in_by(alice.client, "Alice", THIRD)) == REQUIRED


def test_a_factor_that_was_added_after_the_link_was_mailed_is_asked_for(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    alice = mailed_alice
    assert alice.client.delete("/me/totp", headers=alice.session).status_code == 204
    token = link_of_operator(service, alice, mailboxes)
    again = owner_of(alice.client, service.database_url, alice.session, "Alice", NEW_PASSWORD)
    challenge = asked(confirm_reset(alice.client, token, THIRD))
    assert again.complete(challenge, again.phone.next_code()).status_code == 200


def test_a_reset_asks_for_a_factor_that_does_not_work(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    alice = mailed_alice
    execute(service.database_url, "DELETE FROM sealed_secret")
    response = confirm_reset(alice.client, mailed_link(service, alice, mailboxes), THIRD)
    assert problem(response) == REQUIRED
    assert response.json()["methods"] == ["recovery_code"]


def test_the_carried_session_ends_with_the_factor_only(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    alice = mailed_alice
    token = mailed_link(service, alice, mailboxes)
    with service.client() as browser:
        body = {"username": "Bobby", "password": NEW_PASSWORD}
        assert browser.post("/signup", json=body).status_code == 201
        body = {"token": token, "new_password": THIRD}
        begun = browser.post("/password-reset/confirm", json=body)
        challenge = asked(begun)
        assert browser.get("/me").json()["user"]["username"] == "Bobby"
        body = {
            "challenge_token": challenge,
            "method": "totp",
            "code": alice.phone.next_code(),
        }
        assert browser.post("/login/second-factor", json=body).status_code == 200
        assert browser.get("/me").json()["user"]["username"] == "Alice"


def test_the_token_of_the_challenge_confirms_no_reset(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    alice = mailed_alice
    token = mailed_link(service, alice, mailboxes)
    challenge = asked(confirm_reset(alice.client, token, THIRD))
    assert problem(confirm_reset(alice.client, challenge, THIRD)) == CHALLENGE
    assert problem(alice.client.get("/me", headers=bearer(challenge))) == NOT_AUTHENTICATED
    assert alice.complete(challenge, alice.phone.next_code()).status_code == 200
