"""Log-in with a second factor: no session exists before the answer, and it goes on as it began."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.databases import execute, fetch_value, held, wait_for_lock_waiters
from tests.factories import PASSWORD, bearer, cookie, log_in, moment, sign_up, token_of
from tests.factors.conftest import (
    CHALLENGE,
    NOT_AUTHENTICATED,
    REQUIRED,
    WRONG,
    MakeOwner,
    Owner,
    methods_of,
    problem,
    session_of,
)
from tests.services import Service

SESSIONS = "SELECT count(*) FROM session"
CHALLENGES = "SELECT count(*) FROM challenge"
NEW = "quite another passphrase"


def without_ids(response: httpx.Response) -> dict[str, Any]:
    """Return a problem without what names the one request."""
    return {name: value for name, value in response.json().items() if name != "request_id"}


def test_the_right_password_opens_no_session(service: Service, alice: Owner) -> None:
    before = fetch_value(service.database_url, SESSIONS)
    response = alice.begin(transport="cookie")
    assert "set-cookie" not in response.headers
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/problem+json"
    assert "session" not in response.json()
    assert response.json()["methods"] == ["totp", "recovery_code"]
    assert "passkey_options" not in response.json()
    assert fetch_value(service.database_url, SESSIONS) == before


def test_the_code_completes_the_log_in(alice: Owner) -> None:
    response = alice.complete(alice.challenge(), alice.phone.next_code())
    assert response.status_code == 200
    assert methods_of(response) == ["password", "totp"]
    assert response.headers["cache-control"] == "no-store"
    me = alice.client.get("/me", headers=session_of(response)).json()
    assert me["user"]["username"] == "Alice"
    assert [each["method"] for each in me["session"]["methods"]] == ["password", "totp"]
    password, totp = me["session"]["methods"]
    assert moment(password["at"]) < moment(totp["at"]) == moment(me["session"]["authenticated_at"])


def test_the_list_of_sessions_tells_their_methods(alice: Owner) -> None:
    session = session_of(alice.log_in())
    newest, first = alice.client.get("/sessions", headers=session).json()["sessions"]
    assert [each["method"] for each in newest["methods"]] == ["password", "totp"]
    assert [each["method"] for each in first["methods"]] == ["password", "totp"]


@pytest.mark.parametrize("send", [bearer, cookie])
def test_the_token_of_a_challenge_opens_nothing(alice: Owner, send: Any) -> None:
    challenge = alice.challenge()
    for method, path, body in (
        ("GET", "/me", None),
        ("GET", "/me/factors", None),
        ("GET", "/me/passkeys", None),
        ("POST", "/me/totp", None),
        ("POST", "/me/totp/confirm", {"code": "123456"}),
        ("DELETE", "/me/totp", None),
        ("POST", "/me/recovery-codes", None),
        ("POST", "/me/passkeys/options", None),
        ("POST", "/me/reauthenticate/options", None),
        ("POST", "/me/reauthenticate", {"method": "totp", "code": "123456"}),
        ("PUT", "/me/password", {"current_password": PASSWORD, "new_password": NEW}),
        ("DELETE", "/me", None),
        ("GET", "/me/export", None),
        ("GET", "/sessions", None),
        ("POST", "/logout", None),
    ):
        refused = alice.client.request(method, path, json=body, headers=send(challenge))
        assert problem(refused) == NOT_AUTHENTICATED, path
    assert alice.complete(challenge, alice.phone.next_code()).status_code == 200


def test_a_challenge_is_answered_once(alice: Owner) -> None:
    challenge = alice.challenge()
    assert alice.complete(challenge, alice.phone.next_code()).status_code == 200
    assert problem(alice.complete(challenge, alice.phone.next_code())) == CHALLENGE


def test_four_wrong_codes_are_told_and_the_fifth_ends_the_challenge(alice: Owner) -> None:
    challenge = alice.challenge()
    wrong = alice.phone.wrong_code()
    answers = [problem(alice.complete(challenge, wrong)) for _ in range(5)]
    assert answers == [WRONG] * 4 + [CHALLENGE]
    assert problem(alice.complete(challenge, alice.phone.next_code())) == CHALLENGE


def test_the_fifth_try_may_be_right(alice: Owner) -> None:
    challenge = alice.challenge()
    for _ in range(4):
        assert problem(alice.complete(challenge, alice.phone.wrong_code())) == WRONG
    assert alice.complete(challenge, alice.phone.next_code()).status_code == 200


def test_wrong_answers_of_all_kinds_count_together(alice: Owner) -> None:
    challenge = alice.challenge()
    for _ in range(2):
        assert problem(alice.complete(challenge, alice.phone.wrong_code())) == WRONG
        assert problem(alice.complete(challenge, "0" * 24, "recovery_code")) == WRONG
    assert problem(alice.complete(challenge, "0" * 24, "recovery_code")) == CHALLENGE
    assert problem(alice.complete(challenge, alice.recovery_codes[0], "recovery_code")) == CHALLENGE


def test_a_wrong_code_tells_nothing(alice: Owner) -> None:
    """Neither that it was right until it was used, nor that it is a recovery code's turn."""
    challenge, used = alice.challenge(), alice.phone.next_code()
    assert alice.complete(alice.challenge(), used).status_code == 200
    answers = [
        alice.complete(challenge, alice.phone.wrong_code()),
        alice.complete(challenge, used),
        alice.complete(challenge, "0" * 24, "recovery_code"),
    ]
    assert {problem(each) for each in answers} == {WRONG}
    assert len({json.dumps(without_ids(each)) for each in answers}) == 1


def test_dead_challenges_are_all_alike(service: Service, alice: Owner) -> None:
    answered, expired, exhausted, voided = (alice.challenge() for _ in range(4))
    assert alice.complete(answered, alice.phone.next_code()).status_code == 200
    for _ in range(5):
        alice.complete(exhausted, "0" * 24, "recovery_code")
    execute(
        service.database_url,
        "UPDATE challenge SET expires_at = now() WHERE id = $1",
        fetch_value(service.database_url, "SELECT min(CAST(id AS text)) FROM challenge"),
    )
    execute(service.database_url, "UPDATE challenge SET security_version = security_version - 1")
    refused = [
        alice.complete(token, alice.phone.next_code())
        for token in (answered, expired, exhausted, voided, "A" * 64, "", "ü", "A" * 5000)
    ]
    assert {problem(each) for each in refused} == {CHALLENGE}
    assert len({json.dumps(without_ids(each)) for each in refused}) == 1


def test_an_expired_challenge_is_dead(service: Service, alice: Owner) -> None:
    challenge = alice.challenge()
    execute(service.database_url, "UPDATE challenge SET expires_at = now()")
    assert problem(alice.complete(challenge, alice.phone.next_code())) == CHALLENGE


def test_a_challenge_is_open_for_ten_minutes(service: Service, alice: Owner) -> None:
    body = alice.begin().json()
    remaining = "SELECT extract(epoch FROM expires_at - now())::float8 FROM challenge"
    assert 540 < fetch_value(service.database_url, remaining) <= 600
    stored = fetch_value(service.database_url, "SELECT expires_at FROM challenge")
    assert moment(body["expires_at"]) == stored


def test_a_wrong_password_is_answered_like_an_unknown_user(alice: Owner) -> None:
    client = alice.client
    wrong = log_in(client, "Alice", password=NEW)
    unknown = log_in(client, "Nobody", password=NEW)
    assert problem(wrong) == (401, "invalid_credentials")
    assert without_ids(wrong) == without_ids(unknown)
    varying = {"x-request-id", "date", "content-length"}
    assert {name: value for name, value in wrong.headers.items() if name not in varying} == {
        name: value for name, value in unknown.headers.items() if name not in varying
    }


def test_a_password_change_ends_open_log_ins_and_burns_no_code(alice: Owner) -> None:
    challenge = alice.challenge()
    body = {"current_password": PASSWORD, "new_password": NEW}
    changed = alice.client.put("/me/password", json=body, headers=alice.session)
    assert changed.status_code == 200, changed.text
    code = alice.phone.next_code()
    assert problem(alice.complete(challenge, code)) == CHALLENGE
    later = alice.challenge(password=NEW)
    assert alice.complete(later, code).status_code == 200


def test_a_password_change_between_the_check_of_the_password_and_the_question(
    service: Service, alice: Owner
) -> None:
    """The log-in fails: the password that was right is no more."""
    move = 'UPDATE "user" SET security_version = security_version + 1'
    with ThreadPoolExecutor(1) as pool:
        with held(service.database_url, move, end="COMMIT"):
            answer = pool.submit(log_in, alice.client)
            wait_for_lock_waiters(service.database_url)
        assert problem(answer.result()) == (401, "invalid_credentials")
    assert fetch_value(service.database_url, CHALLENGES) == 0


CHANGES = [
    'UPDATE "user" SET security_version = security_version + 1',
    "UPDATE challenge SET expires_at = now()",
    "UPDATE challenge SET failures = 5",
    "DELETE FROM challenge",
    'DELETE FROM "user"',
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_challenge_that_dies_while_the_answer_waits_opens_nothing(
    service: Service, alice: Owner, change: str
) -> None:
    challenge, code = alice.challenge(), alice.phone.next_code()
    before = fetch_value(service.database_url, SESSIONS)
    with ThreadPoolExecutor(1) as pool:
        with held(service.database_url, f'SELECT FROM "user" FOR UPDATE; {change}', end="COMMIT"):
            answer = pool.submit(alice.complete, challenge, code)
            wait_for_lock_waiters(service.database_url)
        assert problem(answer.result()) == CHALLENGE
    assert fetch_value(service.database_url, SESSIONS) <= before
    used = "SELECT count(*) FROM totp WHERE last_step > 0"
    assert fetch_value(service.database_url, used) == 0


@pytest.mark.parametrize("change", CHANGES)
def test_a_wrong_code_for_a_challenge_that_dies_while_it_waits_spends_no_try(
    service: Service, alice: Owner, change: str
) -> None:
    challenge, wrong = alice.challenge(), alice.phone.wrong_code()
    with ThreadPoolExecutor(1) as pool:
        with held(service.database_url, f'SELECT FROM "user" FOR UPDATE; {change}', end="COMMIT"):
            answer = pool.submit(alice.complete, challenge, wrong)
            wait_for_lock_waiters(service.database_url)
        assert problem(answer.result()) == CHALLENGE
    assert fetch_value(service.database_url, "SELECT count(*) FROM totp_failure") == 0


def test_the_session_that_the_browser_has_goes_on_until_the_log_in_is_complete(
    service: Service, make_owner: MakeOwner
) -> None:
    bobby = make_owner("Bobby")
    with service.client() as browser:
        carried = token_of(sign_up(browser, "Alice"))
        begun = log_in(browser, "Bobby", device_name="Bobby's phone")
        assert problem(begun) == REQUIRED
        assert browser.get("/me").json()["user"]["username"] == "Alice"
        body = {"challenge_token": begun.json()["challenge_token"], "method": "totp"}
        wrong = browser.post("/login/second-factor", json=body | {"code": bobby.phone.wrong_code()})
        assert problem(wrong) == WRONG
        assert "set-cookie" not in wrong.headers
        assert browser.get("/me").json()["user"]["username"] == "Alice"
        done = browser.post("/login/second-factor", json=body | {"code": bobby.phone.next_code()})
        assert done.status_code == 200
        assert browser.get("/me").json()["user"]["username"] == "Bobby"
        names = [each["device_name"] for each in browser.get("/sessions").json()["sessions"]]
        assert "Bobby's phone" in names
    refused = bobby.client.get("/me", headers=cookie(carried))
    assert problem(refused) == NOT_AUTHENTICATED


@pytest.mark.parametrize("transport", ["cookie", "bearer"])
def test_the_transport_is_that_of_the_first_request(alice: Owner, transport: str) -> None:
    done = alice.complete(alice.challenge(transport=transport), alice.phone.next_code())
    assert done.status_code == 200
    sets_session = any("session" in each for each in done.headers.get_list("set-cookie"))
    assert sets_session is (transport == "cookie")
    assert ("token" in done.json()["session"]) is (transport == "bearer")
    assert ("device_token" in done.json()["session"]) is (transport == "bearer")


def test_the_second_request_names_no_transport_and_no_device(alice: Owner) -> None:
    challenge = alice.challenge()
    for name, value in (("transport", "bearer"), ("device_name", "x"), ("device_token", "x")):
        body = {"challenge_token": challenge, "method": "totp", "code": "123456", name: value}
        refused = alice.client.post("/login/second-factor", json=body)
        assert problem(refused) == (400, "validation_failed")


def test_the_device_of_the_first_request_is_known_afterwards(
    service: Service, alice: Owner
) -> None:
    first = alice.log_in().json()["session"]
    before = fetch_value(service.database_url, "SELECT count(*) FROM device")
    again = alice.log_in(device_token=first["device_token"]).json()["session"]
    assert fetch_value(service.database_url, "SELECT count(*) FROM device") == before
    assert "device_token" not in again
    shared = "SELECT count(*) - count(DISTINCT device_hash) FROM session"
    assert fetch_value(service.database_url, shared) == 1


def test_a_completed_log_in_extends_the_cookie_of_its_device(
    service: Service, alice: Owner
) -> None:
    """Or the browser would drop it before the service forgets the device."""
    with service.client() as browser:
        devices = []
        for _ in range(2):
            challenge = log_in(browser, "Alice").json()["challenge_token"]
            body = {"challenge_token": challenge, "method": "totp", "code": alice.phone.next_code()}
            done = browser.post("/login/second-factor", json=body)
            devices.append(done.cookies["auth_device"])
    assert devices[0] == devices[1]


def test_a_device_of_the_second_request_is_not_that_of_the_first(
    service: Service, alice: Owner
) -> None:
    """Whoever has only the password begins the log-in; no device is lent to it."""
    with service.client() as browser:
        challenge = alice.challenge(transport="cookie")
        sign_up(browser, "Bobby")
        planted = browser.cookies["auth_device"]
        body = {"challenge_token": challenge, "method": "totp", "code": alice.phone.next_code()}
        assert browser.post("/login/second-factor", json=body).status_code == 200
        assert browser.cookies["auth_device"] != planted


def test_a_known_device_is_asked_as_well(alice: Owner) -> None:
    device = alice.log_in().json()["session"]["device_token"]
    assert problem(alice.begin(device_token=device)) == REQUIRED


def test_a_log_in_that_is_asked_for_a_factor_counts_as_no_failure(alice: Owner) -> None:
    """Twenty log-ins in a row: the limit of failures is ten."""
    for _ in range(20):
        alice.begin()


def test_a_client_that_knows_no_second_factor_is_refused(alice: Owner) -> None:
    """Whatever it sends: there is nothing with which the first request could be completed."""
    for _ in range(2):
        assert problem(log_in(alice.client, device_name="old")) == REQUIRED
    challenge = alice.challenge()
    assert problem(log_in(alice.client, password=challenge)) == (401, "invalid_credentials")


def test_a_code_is_missing_or_is_none(alice: Owner) -> None:
    challenge = alice.challenge()
    for body, field in (
        ({"method": "totp"}, "code"),
        ({"method": "recovery_code"}, "code"),
        ({"method": "passkey"}, "credential"),
        ({"method": "passkey", "code": "123456"}, "credential"),
        ({"method": "password", "password": PASSWORD}, "method"),
        ({"code": "123456"}, "method"),
    ):
        refused = alice.client.post(
            "/login/second-factor", json={"challenge_token": challenge} | body
        )
        assert problem(refused) == (400, "validation_failed")
        assert field in {each["field"] for each in refused.json()["errors"]}
    assert alice.complete(challenge, alice.phone.next_code()).status_code == 200


def test_another_site_cannot_complete_a_log_in(alice: Owner) -> None:
    challenge, code = alice.challenge(), alice.phone.next_code()
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    refused = alice.complete(challenge, code, headers=foreign)
    assert problem(refused) == (403, "origin_rejected")
    assert alice.complete(challenge, code).status_code == 200


def test_another_users_code_is_wrong(make_owner: MakeOwner) -> None:
    alice, bobby = make_owner("Alice"), make_owner("Bobby")
    challenge = alice.challenge()
    assert problem(alice.complete(challenge, bobby.phone.next_code())) == WRONG
    assert problem(alice.complete(challenge, bobby.recovery_codes[0], "recovery_code")) == WRONG
    (left,) = [bobby.client.get("/me/factors", headers=bobby.session).json()["recovery_codes_left"]]
    assert left == 10


@pytest.mark.parametrize(
    "spoil",
    [
        {"transport": "smoke signal"},
        {"unknown": 1},
        {"padding": "x" * 200_000},
    ],
)
def test_a_request_that_is_refused_burns_no_code(
    service: Service, alice: Owner, spoil: dict[str, Any]
) -> None:
    challenge, code = alice.challenge(), alice.phone.next_code()
    body = {"challenge_token": challenge, "method": "totp", "code": code}
    refused = alice.client.post("/login/second-factor", json=body | spoil)
    assert refused.status_code in {400, 413}
    assert fetch_value(service.database_url, "SELECT failures FROM challenge") == 0
    assert alice.complete(challenge, code).status_code == 200
