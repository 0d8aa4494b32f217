"""Sign-up by e-mail, as a user does it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from service.auth.audit import Event
from tests.api.test_hashing import hash_processes
from tests.audit_trail import events
from tests.databases import execute, fetch_value
from tests.factories import codes, sign_up
from tests.flows.conftest import (
    ALICE,
    NEW_PASSWORD,
    Mailboxes,
    log_in_by,
    opened,
    problem,
    sign_up_by_email,
    user_with_address,
    verify_sign_up,
    wrong,
)
from tests.mail.conftest import mail_environment, plain_url
from tests.server.test_metrics import measured_service, sample
from tests.service_pool import ServicePool
from tests.services import Service, wait_for, wait_until_measured
from tests.smtp_server import SMTPServer

INVALID_CHALLENGE = (401, "invalid_challenge")
IMPORT_ADDRESS = """
INSERT INTO key (provider, name, display_name, user_id, password_hash, password_scheme)
SELECT 'email', 'alice@example.org', 'alice@example.org', user_id, password_hash, password_scheme
FROM key
"""


@pytest.fixture
def service(audited_service: Service) -> Service:
    return audited_service


def test_a_code_makes_a_user_with_a_verified_address(
    client: httpx.Client, mailboxes: Mailboxes
) -> None:
    challenge = sign_up_by_email(client)
    assert log_in_by(client, ALICE).status_code == 401
    response = verify_sign_up(client, challenge, mailboxes.code(ALICE))
    assert (response.status_code, response.headers["location"]) == (201, "/me")
    user = client.get("/me", headers=opened(response)).json()["user"]
    assert (user["username"], user["email"]) == (None, ALICE)
    assert user["email_verified_at"] is not None
    for spelling in (ALICE, "alice@EXAMPLE.org"):
        assert log_in_by(client, spelling).status_code == 200


def test_a_user_name_may_come_with_the_code(client: httpx.Client, mailboxes: Mailboxes) -> None:
    session = user_with_address(client, mailboxes, username="Alice")
    assert client.get("/me", headers=session).json()["user"]["username"] == "Alice"
    for name in ("alice", ALICE):
        assert log_in_by(client, name).status_code == 200


def test_who_has_signed_up_is_answered_with_the_user_as_found_later(
    client: httpx.Client, mailboxes: Mailboxes
) -> None:
    challenge = sign_up_by_email(client)
    joined = verify_sign_up(client, challenge, mailboxes.code(ALICE), username="Alice")
    found = client.get("/me", headers=opened(joined)).json()["user"]
    assert joined.json()["user"] == found


def test_the_record_of_a_request_does_not_tell_whether_the_address_is_taken(
    service: Service, client: httpx.Client, mailboxes: Mailboxes
) -> None:
    user_with_address(client, mailboxes)
    for address in ("free@example.org", ALICE):
        asked = client.post("/signup/email", json={"email": address})
        assert events(service, asked) == [
            {"event": Event.SIGN_UP_REQUESTED, "user_id": None, "session_id": None}
        ]


def test_a_sign_up_is_recorded_with_its_user_and_session(
    service: Service, client: httpx.Client, mailboxes: Mailboxes
) -> None:
    joined = verify_sign_up(client, sign_up_by_email(client), mailboxes.code(ALICE))
    body = joined.json()
    ids = {"user_id": body["user"]["id"], "session_id": body["session"]["id"]}
    assert events(service, joined) == [{"event": Event.SIGNED_UP, **ids}]


def test_a_device_keeps_its_token(client: httpx.Client, mailboxes: Mailboxes) -> None:
    device = sign_up(client, transport="bearer").json()["session"]["device_token"]
    challenge = sign_up_by_email(client)
    joined = verify_sign_up(client, challenge, mailboxes.code(ALICE), device_token=device)
    assert joined.json()["session"]["device_token"] == device


def test_a_taken_user_name_and_a_bad_password_use_no_code_up(
    client: httpx.Client, mailboxes: Mailboxes
) -> None:
    sign_up(client)
    client.cookies.clear()
    challenge = sign_up_by_email(client)
    code = mailboxes.code(ALICE)
    taken = verify_sign_up(client, challenge, code, username="ALICE")
    assert problem(taken) == (409, "username_taken")
    refused = verify_sign_up(client, challenge, code, password="password")
    assert codes(refused) == {"password": "too_common"}
    refused = verify_sign_up(client, challenge, code, password="Quux Quux 123!", username="Quux")
    assert codes(refused) == {"password": "contains_username"}
    assert verify_sign_up(client, challenge, code).status_code == 201


def test_a_user_name_that_is_held_is_taken(client: httpx.Client, mailboxes: Mailboxes) -> None:
    session = user_with_address(client, mailboxes, "bob@example.org", username="Alice")
    gone = client.request("DELETE", "/me", json={"password": NEW_PASSWORD}, headers=session)
    assert gone.status_code == 204
    challenge = sign_up_by_email(client)
    code = mailboxes.code(ALICE)
    held = verify_sign_up(client, challenge, code, username="ALICE")
    assert problem(held) == (409, "username_taken")
    assert verify_sign_up(client, challenge, code).status_code == 201


def test_a_taken_address_gets_the_same_answer_and_a_mail_without_a_code(
    service: Service, client: httpx.Client, mailboxes: Mailboxes
) -> None:
    user_with_address(client, mailboxes)
    free = client.post("/signup/email", json={"email": "free@example.org"})
    taken = client.post("/signup/email", json={"email": "alice@example.ORG"})
    assert taken.status_code == free.status_code == 202
    assert taken.json().keys() == free.json().keys()
    assert len(taken.json()["challenge_token"]) == len(free.json()["challenge_token"])
    mail = mailboxes.newest(ALICE, "account")
    for part in ("plain", "html"):
        assert not any(word.isdigit() and len(word) == 8 for word in mail.part(part).split())
    challenge = taken.json()["challenge_token"]
    for _ in range(4):
        assert problem(verify_sign_up(client, challenge, "12345678")) == (401, "invalid_code")
    for _ in range(2):
        assert problem(verify_sign_up(client, challenge, "12345678")) == INVALID_CHALLENGE
    assert log_in_by(client, ALICE).status_code == 200
    assert fetch_value(service.database_url, 'SELECT count(*) FROM "user"') == 1


def test_five_wrong_codes_end_a_challenge(client: httpx.Client, mailboxes: Mailboxes) -> None:
    challenge = sign_up_by_email(client)
    code = mailboxes.code(ALICE)
    for _ in range(4):
        assert problem(verify_sign_up(client, challenge, wrong(code))) == (401, "invalid_code")
    assert problem(verify_sign_up(client, challenge, wrong(code))) == INVALID_CHALLENGE
    assert problem(verify_sign_up(client, challenge, code)) == INVALID_CHALLENGE


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("".join(chr(0xFF11 + n) for n in range(8)), "not_allowed"),
        ("123456789", "not_allowed"),
        ("", "not_allowed"),
        (12345678, "wrong_type"),
        (None, "wrong_type"),
    ],
)
def test_what_cannot_be_a_code_spends_no_try(
    client: httpx.Client, mailboxes: Mailboxes, code: object, error: str
) -> None:
    challenge = sign_up_by_email(client)
    for _ in range(6):
        body = {"challenge_token": challenge, "code": code, "password": NEW_PASSWORD}
        assert codes(client.post("/signup/email/verify", json=body)) == {"code": error}
    typed = mailboxes.code(ALICE)
    spaced = f" {typed[:4]} - {typed[4:]} "
    assert verify_sign_up(client, challenge, spaced).status_code == 201


def test_of_two_sign_ups_with_one_address_each_needs_its_own_code(
    client: httpx.Client, mailboxes: Mailboxes
) -> None:
    """Or somebody could sign up first, and have the victim's code complete their account."""
    first = sign_up_by_email(client)
    first_code = mailboxes.code(ALICE)
    second = sign_up_by_email(client)
    second_code = mailboxes.code(ALICE, number=2)
    assert problem(verify_sign_up(client, first, second_code)) == (401, "invalid_code")
    assert problem(verify_sign_up(client, second, first_code)) == (401, "invalid_code")
    assert verify_sign_up(client, second, second_code).status_code == 201
    late = verify_sign_up(client, first, first_code, password="the password of an attacker")
    assert problem(late) == (409, "email_taken")
    assert log_in_by(client, ALICE).status_code == 200
    assert log_in_by(client, ALICE, "the password of an attacker").status_code == 401


def test_of_simultaneous_right_codes_one_makes_a_user(
    service: Service, client: httpx.Client, mailboxes: Mailboxes
) -> None:
    challenge = sign_up_by_email(client)
    code = mailboxes.code(ALICE)
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: verify_sign_up(client, challenge, code), range(10)))
    assert sorted(each.status_code for each in answers) == [201] + [401] * 9
    assert fetch_value(service.database_url, 'SELECT count(*) FROM "user"') == 1


def test_whoever_proves_an_address_takes_it_from_who_has_not_verified_it(
    service: Service, client: httpx.Client, mailboxes: Mailboxes
) -> None:
    sign_up(client, "Other")
    client.cookies.clear()
    execute(service.database_url, IMPORT_ADDRESS)
    session = user_with_address(client, mailboxes)
    assert client.get("/me", headers=session).json()["user"]["email"] == ALICE
    assert log_in_by(client, ALICE).status_code == 200
    count = "SELECT count(*) FROM key WHERE provider = 'email'"
    assert fetch_value(service.database_url, count) == 1


def test_who_is_logged_in_does_not_sign_up(client: httpx.Client, mailboxes: Mailboxes) -> None:
    sign_up(client)
    refused = client.post("/signup/email", json={"email": ALICE})
    assert problem(refused) == (409, "already_authenticated")
    cookies = dict(client.cookies)
    client.cookies.clear()
    challenge = sign_up_by_email(client)
    client.cookies.update(cookies)
    refused = verify_sign_up(client, challenge, mailboxes.code(ALICE))
    assert problem(refused) == (409, "already_authenticated")


def test_a_code_that_has_expired_signs_nobody_up(
    service: Service, client: httpx.Client, mailboxes: Mailboxes
) -> None:
    challenge = sign_up_by_email(client)
    code = mailboxes.code(ALICE)
    execute(service.database_url, "UPDATE challenge SET expires_at = now()")
    assert problem(verify_sign_up(client, challenge, code)) == INVALID_CHALLENGE


def test_beyond_five_mails_an_hour_no_code_exists_and_earlier_ones_work(
    client: httpx.Client, mailboxes: Mailboxes
) -> None:
    """Nobody can guess more codes by asking for more, nor keep the owner from using one."""
    first = sign_up_by_email(client)
    code = mailboxes.code(ALICE)
    challenges = [sign_up_by_email(client) for _ in range(6)]
    mailboxes.code(ALICE, number=5)
    assert problem(verify_sign_up(client, challenges[-1], code)) == (401, "invalid_code")
    assert len(mailboxes.of(ALICE)) == 5
    assert verify_sign_up(client, first, code).status_code == 201


@pytest.mark.parametrize("address", [ALICE, "nobody@example.org"])
def test_requests_are_limited_by_network_whoever_they_are_for(
    client: httpx.Client, mailboxes: Mailboxes, address: str
) -> None:
    user_with_address(client, mailboxes)
    statuses = [
        client.post("/signup/email", json={"email": address}).status_code for _ in range(21)
    ]
    assert statuses == [202] * 19 + [429] * 2
    refused = client.post("/signup/email", json={"email": address})
    assert 0 < int(refused.headers["retry-after"]) <= 3600


def test_a_known_device_has_requests_of_its_own(client: httpx.Client, mailboxes: Mailboxes) -> None:
    device = sign_up(client, transport="bearer").json()["session"]["device_token"]
    for token in ("", "A" * 43):
        body = {"email": "nobody@example.org", "device_token": token}
        while client.post("/signup/email", json=body).status_code != 429:
            pass
    body = {"email": ALICE, "device_token": device}
    assert client.post("/signup/email", json=body).status_code == 202
    mailboxes.code(ALICE)


def test_sign_ups_are_limited_by_network_and_a_refused_one_uses_no_code_up(
    services: ServicePool, shared_smtp: SMTPServer, mailboxes: Mailboxes
) -> None:
    limited = services.service(
        mail_environment(plain_url(shared_smtp), OSTIARY_SIGN_UPS_PER_ADDRESS="1/1h")
    )
    with limited.client() as client:
        first, second = (sign_up_by_email(client, each) for each in (ALICE, "bob@example.org"))
        assert verify_sign_up(client, first, mailboxes.code(ALICE)).status_code == 201
        code = mailboxes.code("bob@example.org")
        assert problem(verify_sign_up(client, second, code)) == (429, "rate_limited")
        execute(limited.database_url, "DELETE FROM rate_limit")
        assert verify_sign_up(client, second, code).status_code == 201


def test_passwords_of_sign_ups_with_different_addresses_wait_as_those_of_different_users(
    database_url: str, tmp_path: Path, shared_smtp: SMTPServer
) -> None:
    """Otherwise they would share one place, and be the first to be refused when it is full."""
    mailboxes = Mailboxes(shared_smtp)
    environment = mail_environment(
        plain_url(shared_smtp),
        OSTIARY_TRUSTED_PROXIES="127.0.0.1",
        OSTIARY_HASH_QUEUE_LENGTH="2",
        OSTIARY_LOG_LEVEL="debug",
    )
    addresses = [f"user{number}@example.org" for number in range(3)]
    with (
        measured_service(database_url, tmp_path, **environment) as service,
        ExitStack() as stack,
        ThreadPoolExecutor(4) as threads,
    ):
        clients = [
            stack.enter_context(service.client(headers={"X-Forwarded-For": f"203.0.113.{number}"}))
            for number in range(4)
        ]
        challenges = [sign_up_by_email(clients[0], each) for each in addresses]
        mailed = [mailboxes.code(each) for each in addresses]
        # The measurement waits in the same queue.
        wait_until_measured(service)
        (hash_process,) = hash_processes(service)
        hash_process.suspend()
        try:
            sent = [
                threads.submit(verify_sign_up, *each)
                for each in zip(clients, challenges, mailed, strict=False)
            ]
            wait_for(lambda: sample(service, "ostiary_hash_queue_length") == 2, "the queue is full")
            sent.append(threads.submit(log_in_by, clients[3], "Nobody"))
            wait_for(lambda: any(each.done() for each in sent), "one is refused")
        finally:
            hash_process.resume()
        assert [each.result().status_code for each in sent] == [201, 201, 201, 503]


@pytest.mark.parametrize(
    "address",
    [
        "alice",
        "a@example.com,b@example.com",
        "a@example.com\r\nBcc: b@example.com",
        "Alice <a@example.com>",
        '"a@evil x"@example.com',
        "a@[127.0.0.1]",
    ],
)
def test_what_is_no_address_is_refused(
    client: httpx.Client, mailboxes: Mailboxes, address: str
) -> None:
    refused = client.post("/signup/email", json={"email": address})
    assert codes(refused) == {"email": "invalid_address"}


@pytest.mark.parametrize(
    ("typed", "recipient"),
    [("bob@faß.de", "bob@xn--fa-hia.de"), ("bob@BÜCHER.de", "bob@xn--bcher-kva.de")],
)
def test_a_code_goes_to_the_domain_by_idna_2008(
    client: httpx.Client, mailboxes: Mailboxes, typed: str, recipient: str
) -> None:
    challenge = sign_up_by_email(client, typed)
    mail = mailboxes.newest(recipient)
    assert mail.message["To"] == recipient
    assert verify_sign_up(client, challenge, mailboxes.code(recipient)).status_code == 201
    assert log_in_by(client, recipient).status_code == 200
