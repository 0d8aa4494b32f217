"""What users are told by mail of their passkeys, and how an addition is taken back."""

from __future__ import annotations

import httpx
import pytest

from tests.authenticator import Authenticator
from tests.databases import execute, fetch_value, wait_until
from tests.factories import REMOVE_PASSWORDS
from tests.factors.passkeys import (
    Headers,
    add_passkey,
    answer,
    browser,
    complete,
    is_live,
    log_in_by_passkey,
    new_user,
    problem,
    registration_options,
)
from tests.flows.conftest import (
    ALICE,
    NEW_PASSWORD,
    Mailboxes,
    confirm_reset,
    log_in_by,
    opened,
    request_reset,
    user_with_address,
)
from tests.services import Service

ADDED, REMOVED = "A second factor was added", "A second factor was removed"
FOREIGN = {"User-Agent": "Curl of a stranger"}
THIRD = "a third and longer passphrase"


@pytest.fixture
def alice(client: httpx.Client, mailboxes: Mailboxes) -> Headers:
    return user_with_address(client, mailboxes, username="Alice")


@pytest.fixture
def device(service: Service) -> Authenticator:
    return browser(service)


def undo(client: httpx.Client, token: str) -> httpx.Response:
    return client.post("/undo", json={"token": token})


def all_mails_are_out(service: Service) -> None:
    wait_until(service.database_url, "NOT EXISTS (SELECT FROM mail)")


def test_each_addition_is_told_with_where_it_came_from(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: Headers
) -> None:
    for number in (1, 2):
        add_passkey(client, alice | FOREIGN, browser(service))
        mail = mailboxes.newest(ALICE, ADDED, number=number)
        for part in ("plain", "html"):
            assert "Curl of a stranger" in mail.part(part)
            assert "127.0.0.1" in mail.part(part)
    all_mails_are_out(service)
    assert len(mailboxes.of(ALICE, ADDED)) == 2


def test_a_removal_is_told(
    service: Service,
    client: httpx.Client,
    mailboxes: Mailboxes,
    alice: Headers,
    device: Authenticator,
) -> None:
    passkey_id = add_passkey(client, alice, device)["passkey"]["id"]
    client.delete(f"/me/passkeys/{passkey_id}", headers=alice | FOREIGN).raise_for_status()
    assert "Curl of a stranger" in mailboxes.newest(ALICE, REMOVED).part("plain")
    all_mails_are_out(service)
    assert len(mailboxes.of(ALICE, REMOVED)) == 1


def test_the_removal_of_the_password_is_told(
    client: httpx.Client, mailboxes: Mailboxes, alice: Headers, device: Authenticator
) -> None:
    add_passkey(client, alice, device)
    client.delete("/me/password", headers=alice | FOREIGN).raise_for_status()
    mail = mailboxes.newest(ALICE, "Your password was removed")
    assert "Curl of a stranger" in mail.part("plain")


def test_what_was_refused_or_only_named_is_not_told(
    service: Service,
    client: httpx.Client,
    mailboxes: Mailboxes,
    alice: Headers,
    device: Authenticator,
) -> None:
    asked = registration_options(client, alice)
    liar = browser(service, flags=1)
    body = answer(asked, liar.create(asked["options"]))
    assert client.post("/me/passkeys", json=body, headers=alice).status_code == 400
    passkey_id = add_passkey(client, alice, device)["passkey"]["id"]
    path = f"/me/passkeys/{passkey_id}"
    client.patch(path, json={"name": "Phone"}, headers=alice).raise_for_status()
    execute(service.database_url, f"{REMOVE_PASSWORDS}; UPDATE key SET verified_at = NULL")
    assert problem(client.delete(path, headers=alice)) == (409, "last_way_in")
    all_mails_are_out(service)
    assert len(mailboxes.of(ALICE)) == 2  # the code of the sign-up, and the addition


def test_a_log_in_by_passkey_from_a_new_device_is_told(
    service: Service,
    client: httpx.Client,
    mailboxes: Mailboxes,
    alice: Headers,
    device: Authenticator,
) -> None:
    add_passkey(client, alice, device)
    first = log_in_by_passkey(client, device).json()["session"]
    mailboxes.newest(ALICE, "Log-in from a new device")
    execute(service.database_url, "DELETE FROM rate_limit")
    known = log_in_by_passkey(client, device, device_token=first["device_token"])
    assert known.status_code == 200
    all_mails_are_out(service)
    assert len(mailboxes.of(ALICE, "Log-in from a new device")) == 1


def test_a_first_passkey_of_a_thief_locks_nobody_out(
    service: Service,
    client: httpx.Client,
    mailboxes: Mailboxes,
    alice: Headers,
    device: Authenticator,
) -> None:
    """Who knows the password adds a passkey: from then on the owner has no factor."""
    thief = opened(log_in_by(client, "Alice"))
    codes = add_passkey(client, thief, device)["recovery_codes"]
    assert not is_live(client, alice)
    waiting = log_in_by(client, "Alice")
    assert problem(waiting) == (401, "second_factor_required")
    pending = {
        "challenge_token": waiting.json()["challenge_token"],
        "options": waiting.json()["passkey_options"],
    }
    asked = registration_options(client, thief)
    token = mailboxes.token(ALICE, ADDED)
    assert undo(client, token).status_code == 204
    assert problem(undo(client, token)) == (401, "invalid_challenge")
    # Nothing of the thief is left, neither what was begun.
    assert not is_live(client, thief)
    assert problem(log_in_by_passkey(client, device)) == (401, "unknown_passkey")
    assert problem(complete(client, pending, device)) == (401, "invalid_challenge")
    body = answer(asked, browser(service).create(asked["options"]))
    refused = client.post("/me/passkeys", json=body, headers=thief)
    assert problem(refused) == (401, "not_authenticated")
    assert problem(log_in_by(client, "Alice")) == (401, "invalid_credentials")
    reset = mailboxes.token(ALICE, "password")
    owner = confirm_reset(client, reset, THIRD)
    assert owner.status_code == 200, "no factor is asked for"
    assert fetch_value(service.database_url, "SELECT count(*) FROM recovery_code") == 0
    body = {"username": "Alice", "password": THIRD, "transport": "bearer"}
    assert client.post("/login", json=body).status_code == 200
    assert len(codes) == 10


def test_an_undo_leaves_the_older_passkey_which_the_reset_asks_for(
    service: Service,
    client: httpx.Client,
    mailboxes: Mailboxes,
    alice: Headers,
    device: Authenticator,
) -> None:
    add_passkey(client, alice, device)
    mailboxes.newest(ALICE, ADDED)
    of_thief, of_bobby = browser(service), browser(service)
    add_passkey(client, alice, of_thief)
    add_passkey(client, new_user(client, "Bobby"), of_bobby)
    assert undo(client, mailboxes.token(ALICE, ADDED, number=2)).status_code == 204
    assert problem(log_in_by_passkey(client, of_thief)) == (401, "unknown_passkey")
    assert log_in_by_passkey(client, of_bobby).status_code == 200
    response = confirm_reset(client, mailboxes.token(ALICE, "password"), THIRD)
    assert problem(response) == (401, "second_factor_required")
    assert response.json()["methods"] == ["passkey", "recovery_code"]
    asked = {
        "challenge_token": response.json()["challenge_token"],
        "options": response.json()["passkey_options"],
    }
    assert len(asked["options"]["allowCredentials"]) == 1
    session = opened(complete(client, asked, device))
    assert is_live(client, session)
    methods = client.get("/me", headers=session).json()["session"]["methods"]
    assert [each["method"] for each in methods] == ["reset", "passkey"]


def test_an_undo_takes_back_all_that_came_after_it(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: Headers
) -> None:
    devices = [browser(service), browser(service)]
    add_passkey(client, alice, devices[0])
    first = mailboxes.token(ALICE, ADDED)
    add_passkey(client, alice, devices[1])
    later = mailboxes.token(ALICE, ADDED, number=2)
    assert undo(client, first).status_code == 204
    for each in devices:
        assert problem(log_in_by_passkey(client, each)) == (401, "unknown_passkey")
    assert problem(undo(client, later)) == (401, "invalid_challenge")


def test_a_reset_asks_for_a_passkey_and_changes_nothing_before(
    client: httpx.Client, mailboxes: Mailboxes, alice: Headers, device: Authenticator
) -> None:
    add_passkey(client, alice, device)
    request_reset(client, ALICE)
    response = confirm_reset(client, mailboxes.token(ALICE, "password"), THIRD)
    assert problem(response) == (401, "second_factor_required")
    assert is_live(client, alice)
    assert problem(log_in_by(client, "Alice", THIRD)) == (401, "invalid_credentials")
    asked = {
        "challenge_token": response.json()["challenge_token"],
        "options": response.json()["passkey_options"],
    }
    session = opened(complete(client, asked, device))
    assert is_live(client, session)
    assert not is_live(client, alice)
    assert problem(log_in_by(client, "Alice", NEW_PASSWORD)) == (401, "invalid_credentials")
    assert problem(log_in_by(client, "Alice", THIRD)) == (401, "second_factor_required")
