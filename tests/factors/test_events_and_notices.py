"""What the log and the user are told of factors, and what neither is."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from service.auth.audit import Event
from tests.api.test_audit import matches
from tests.audit_trail import trail
from tests.databases import execute, wait_until
from tests.factories import log_in, sign_up
from tests.factors.conftest import (
    CHALLENGE,
    WRONG,
    MakeOwner,
    Owner,
    begin_set_up,
    confirm,
    owner_of,
    problem,
    session_of,
)
from tests.flows.conftest import (
    ALICE,
    LINK,
    NEW_PASSWORD,
    Mailboxes,
    confirm_reset,
    log_in_by,
    opened,
    request_reset,
    user_with_address,
)
from tests.mail.conftest import mail_environment, plain_url
from tests.service_pool import ServicePool
from tests.services import Service
from tests.smtp_server import SMTPServer

THIRD = "a third and longer passphrase"
FOREIGN = {"User-Agent": "Curl of a stranger"}


@pytest.fixture
def service(services: ServicePool, shared_smtp: SMTPServer) -> Service:
    return services.service(
        mail_environment(
            plain_url(shared_smtp),
            OSTIARY_LOG_FORMAT="json",
            OSTIARY_MAIL_POLL_INTERVAL="1s",
            OSTIARY_TOTP_FAILURES="2/1h",
        )
    )


def of_request(service: Service, response: httpx.Response) -> list[dict[str, Any]]:
    """Return the events of a request; all have its address, and that its user has done it."""
    request_id = response.headers["x-request-id"]
    found = [each for each in trail(service) if each["request_id"] == request_id]
    assert {(each["address"], each["by"]) for each in found} <= {("127.0.0.1", "user")}
    return found


def ids_of(owner: Owner) -> dict[str, str]:
    me = owner.client.get("/me", headers=owner.session).json()
    return {"user_id": me["user"]["id"], "session_id": me["session"]["id"]}


def test_a_log_in_with_a_factor_has_an_event_for_each_step(service: Service, alice: Owner) -> None:
    user_id = ids_of(alice)["user_id"]
    begun = alice.begin()
    (event,) = of_request(service, begun)
    assert matches(event, Event.SECOND_FACTOR_REQUIRED, user_id=user_id, session_id=None)
    challenge = begun.json()["challenge_token"]
    (event,) = of_request(service, alice.complete(challenge, alice.phone.wrong_code()))
    assert matches(event, Event.SECOND_FACTOR_FAILED, user_id=user_id, session_id=None)
    done = alice.complete(challenge, alice.phone.next_code())
    (event,) = of_request(service, done)
    session_id = done.json()["session"]["id"]
    expected = {"user_id": user_id, "session_id": session_id, "known_device": False}
    assert matches(event, Event.LOGGED_IN, **expected)


def test_the_event_of_a_log_in_tells_that_its_device_was_known(
    service: Service, alice: Owner
) -> None:
    device = alice.log_in().json()["session"]["device_token"]
    (event,) = of_request(service, alice.log_in(device_token=device))
    assert matches(event, Event.LOGGED_IN, known_device=True)


def test_the_session_that_a_completed_log_in_replaces_is_recorded(
    service: Service, alice: Owner, make_owner: MakeOwner
) -> None:
    bobby = make_owner("Bobby")
    replaced = ids_of(bobby)
    challenge, code = alice.challenge(), alice.phone.next_code()
    events = of_request(service, alice.complete(challenge, code, headers=bobby.session))
    assert {each["event"] for each in events} == {Event.LOGGED_IN, Event.SESSION_REPLACED}
    (event,) = [each for each in events if each["event"] == Event.SESSION_REPLACED]
    assert matches(event, Event.SESSION_REPLACED, **replaced)


def test_a_spent_budget_is_recorded_at_every_route(service: Service, alice: Owner) -> None:
    ids = ids_of(alice)
    for _ in range(2):
        alice.complete(alice.challenge(), alice.phone.wrong_code())
        alice.reauthenticate(alice.session, alice.phone.wrong_code())
    (event,) = of_request(service, alice.complete(alice.challenge(), alice.phone.next_code()))
    expected = {"user_id": ids["user_id"], "session_id": None}
    assert matches(event, Event.SECOND_FACTOR_THROTTLED, **expected)
    refused = alice.reauthenticate(alice.session, alice.phone.next_code())
    (event,) = of_request(service, refused)
    assert matches(event, Event.SECOND_FACTOR_THROTTLED, **ids)


def test_wrong_codes_at_the_confirmation_are_recorded(
    service: Service, client: httpx.Client
) -> None:
    joined = sign_up(client, transport="bearer")
    session, user_id = session_of(joined), joined.json()["user"]["id"]
    phone = begin_set_up(client, service.database_url, session)
    for event in (
        *(Event.SECOND_FACTOR_FAILED, Event.SECOND_FACTOR_FAILED),
        Event.SECOND_FACTOR_THROTTLED,
    ):
        (found,) = of_request(service, confirm(client, session, phone.wrong_code()))
        session_id = joined.json()["session"]["id"]
        assert matches(found, event, user_id=user_id, session_id=session_id)


def test_a_first_factor_and_its_removal_are_recorded_with_what_they_ended(
    service: Service, client: httpx.Client
) -> None:
    session = session_of(sign_up(client, transport="bearer"))
    client.cookies.clear()
    log_in(client, transport="bearer")
    phone = begin_set_up(client, service.database_url, session)
    confirmed = confirm(client, session, phone.code())
    alice = Owner(
        client=client,
        username="Alice",
        password="correct horse battery staple",
        session=session,
        phone=phone,
        recovery_codes=confirmed.json()["recovery_codes"],
    )
    ids = ids_of(alice)
    (event,) = of_request(service, confirmed)
    assert matches(event, Event.FACTOR_ADDED, factor="totp", ended=1, **ids)
    alice.log_in()
    (event,) = of_request(service, client.delete("/me/totp", headers=session))
    assert matches(event, Event.FACTOR_REMOVED, factor="totp", ended=1, **ids)


def test_recovery_codes_used_and_renewed_are_recorded(service: Service, alice: Owner) -> None:
    ids = ids_of(alice)
    done = alice.complete(alice.challenge(), alice.recovery_codes[0], "recovery_code")
    used, logged_in = sorted(
        of_request(service, done), key=lambda each: each["event"], reverse=True
    )
    assert matches(used, Event.RECOVERY_CODE_USED, user_id=ids["user_id"])
    assert matches(logged_in, Event.LOGGED_IN)
    proven = alice.reauthenticate(alice.session, alice.recovery_codes[1], "recovery_code")
    names = {each["event"] for each in of_request(service, proven)}
    assert names == {Event.RECOVERY_CODE_USED, Event.REAUTHENTICATED}
    renewed = alice.client.post("/me/recovery-codes", headers=session_of(proven))
    (event,) = of_request(service, renewed)
    assert matches(event, Event.RECOVERY_CODES_RENEWED, **ids)


def test_step_up_by_a_factor_is_recorded(service: Service, alice: Owner) -> None:
    ids = ids_of(alice)
    wrong = alice.reauthenticate(alice.session, alice.phone.wrong_code())
    (event,) = of_request(service, wrong)
    assert matches(event, Event.SECOND_FACTOR_FAILED, **ids)
    (event,) = of_request(service, alice.reauthenticate(alice.session, alice.phone.next_code()))
    assert matches(event, Event.REAUTHENTICATED, **ids)


def test_a_reset_with_a_factor_is_recorded_with_what_it_ended(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    alice = mailed_alice
    alice.log_in()
    user_id = ids_of(alice)["user_id"]
    request_reset(alice.client, "Alice")
    begun = confirm_reset(alice.client, mailboxes.token(ALICE, "Reset"), THIRD)
    (event,) = of_request(service, begun)
    assert matches(event, Event.SECOND_FACTOR_REQUIRED, user_id=user_id)
    done = alice.complete(begun.json()["challenge_token"], alice.phone.next_code())
    (event,) = of_request(service, done)
    expected = {"user_id": user_id, "session_id": done.json()["session"]["id"], "ended": 2}
    assert matches(event, Event.PASSWORD_RESET, **expected)


def test_a_failure_that_is_rolled_back_is_recorded_as_no_success(
    service: Service, alice: Owner
) -> None:
    challenge = alice.challenge()
    for _ in range(5):
        alice.complete(challenge, "0" * 24, "recovery_code")
    refused = alice.complete(challenge, alice.recovery_codes[0], "recovery_code")
    assert problem(refused) == CHALLENGE
    assert of_request(service, refused) == []


def test_no_secret_is_logged(service: Service, alice: Owner) -> None:
    challenge, code, wrong = alice.challenge(), alice.phone.next_code(), "0" * 24
    alice.complete(challenge, wrong, "recovery_code")
    done = alice.complete(challenge, code)
    alice.reauthenticate(session_of(done), alice.recovery_codes[0], "recovery_code")
    renewed = alice.client.post("/me/recovery-codes", headers=alice.session)
    secrets = [
        *(challenge, alice.phone.secret, wrong),
        *(f'"{code}"', f"'{code}'", f" {code} "),
        *alice.recovery_codes,
        *renewed.json()["recovery_codes"],
    ]
    for secret in secrets:
        assert secret not in service.logged()
        assert secret.replace("-", "") not in service.logged()


def test_the_user_is_told_of_a_factor_with_a_link_and_of_its_removal_without_one(
    service: Service, client: httpx.Client, mailboxes: Mailboxes
) -> None:
    session = user_with_address(client, mailboxes, username="Alice")
    phone = begin_set_up(client, service.database_url, session)
    body = {"code": phone.code()}
    assert problem(confirm(client, session, phone.wrong_code())) == WRONG
    response = client.post("/me/totp/confirm", json=body, headers=session | FOREIGN)
    assert response.status_code == 200
    added = mailboxes.newest(ALICE, "A second factor was added")
    removed_by = client.delete("/me/totp", headers=session | FOREIGN)
    assert removed_by.status_code == 204
    removed = mailboxes.newest(ALICE, "A second factor was removed")
    for mail in (added, removed):
        for part in ("plain", "html"):
            assert "Curl of a stranger" in mail.part(part)
            assert "127.0.0.1" in mail.part(part)
            assert phone.secret not in mail.part(part)
    assert LINK.search(added.part("plain"))
    assert not LINK.search(removed.part("plain"))
    wait_until(service.database_url, "NOT EXISTS (SELECT FROM mail)")
    assert len(mailboxes.of(ALICE, "A second factor was added")) == 1
    assert len(mailboxes.of(ALICE, "A second factor was removed")) == 1


def test_a_log_in_with_a_factor_from_a_new_device_is_told(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    """When it is complete: who stops before has logged in from nowhere."""
    alice = mailed_alice
    alice.challenge()
    wait_until(service.database_url, "NOT EXISTS (SELECT FROM mail)")
    assert mailboxes.of(ALICE, "Log-in from a new device") == []
    device = alice.log_in().json()["session"]["device_token"]
    mailboxes.newest(ALICE, "Log-in from a new device")
    # Or the limit of one notice a day would hide another one.
    execute(service.database_url, "DELETE FROM rate_limit")
    alice.log_in(device_token=device)
    wait_until(service.database_url, "NOT EXISTS (SELECT FROM mail)")
    assert len(mailboxes.of(ALICE, "Log-in from a new device")) == 1


def test_who_sets_up_an_app_and_stops_is_told_nothing(
    service: Service, client: httpx.Client, mailboxes: Mailboxes
) -> None:
    session = user_with_address(client, mailboxes, username="Alice")
    begin_set_up(client, service.database_url, session)
    wait_until(service.database_url, "NOT EXISTS (SELECT FROM mail)")
    assert len(mailboxes.of(ALICE)) == 1


def test_the_notice_of_a_first_factor_goes_to_the_address_of_before(
    service: Service, client: httpx.Client, mailboxes: Mailboxes
) -> None:
    """The link in it restores that address, whoever receives mail at a later one."""
    user_with_address(client, mailboxes, username="Alice")
    theirs = opened(log_in_by(client, "Alice"))
    owner_of(client, service.database_url, theirs, "Alice", NEW_PASSWORD)
    sent = client.put("/me/email", json={"email": "thief@example.com"}, headers=theirs).json()
    answer = {
        "challenge_token": sent["challenge_token"],
        "code": mailboxes.code("thief@example.com"),
    }
    assert client.post("/me/email/verify", json=answer, headers=theirs).status_code == 200
    assert client.delete("/me/totp", headers=theirs).status_code == 204
    mailboxes.newest("thief@example.com", "A second factor was removed")
    token = mailboxes.token(ALICE, "A second factor was added")
    assert client.post("/undo", json={"token": token}).status_code == 204
    done = confirm_reset(client, mailboxes.token(ALICE, "Choose a new password"), THIRD)
    assert done.json()["user"]["email"] == ALICE
