"""The way back in: a forgotten password is reset by a link."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.databases import execute, fetch_value, wait_until
from tests.factories import age_sessions, bearer, codes, sign_up
from tests.flows.conftest import (
    ALICE,
    NEW_PASSWORD,
    Mailboxes,
    confirm_reset,
    log_in_by,
    opened,
    problem,
    request_reset,
    user_with_address,
)
from tests.services import Service

INVALID_CHALLENGE = (401, "invalid_challenge")
THIRD = "a third and longer passphrase"
NEW = "alice@new.example.org"
ADD_REQUESTS = "INSERT INTO reset_request (username) SELECT unnest($1::text[])"


@pytest.fixture
def alice(client: httpx.Client, mailboxes: Mailboxes) -> dict[str, str]:
    return user_with_address(client, mailboxes, username="Alice")


def reset_token(client: httpx.Client, mailboxes: Mailboxes, *, number: int = 1) -> str:
    request_reset(client, ALICE)
    return mailboxes.token(ALICE, "Reset", number=number)


def all_are_answered(service: Service) -> None:
    """Wait until the background task has looked at all requests, and all mails are out."""
    wait_until(service.database_url, "NOT EXISTS (SELECT FROM reset_request)")
    wait_until(service.database_url, "NOT EXISTS (SELECT FROM mail)")


@pytest.mark.parametrize("identifier", ["Alice", "ALICE", ALICE, "alice@EXAMPLE.ORG"])
def test_a_link_sets_the_password_and_logs_in(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str], identifier: str
) -> None:
    request_reset(client, identifier)
    response = confirm_reset(client, mailboxes.token(ALICE, "Reset"), THIRD)
    session = opened(response)
    assert [each["method"] for each in response.json()["session"]["methods"]] == ["reset"]
    assert client.get("/me", headers=session).json()["user"]["username"] == "Alice"
    for name in ("Alice", ALICE):
        assert log_in_by(client, name, THIRD).status_code == 200
        assert log_in_by(client, name, NEW_PASSWORD).status_code == 401
    mailboxes.newest(ALICE, "Your password was changed")


def test_a_reset_ends_all_sessions_and_forgets_all_devices(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    other = opened(log_in_by(client, "Alice"))
    session = opened(confirm_reset(client, reset_token(client, mailboxes)))
    for ended in (alice, other):
        assert problem(client.get("/me", headers=ended)) == (401, "not_authenticated")
    assert client.get("/me", headers=session).status_code == 200
    assert fetch_value(service.database_url, "SELECT count(*) FROM device") == 1


def test_a_reset_is_a_fresh_proof(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    age_sessions(service.database_url, days=1 / 24)
    session = opened(confirm_reset(client, reset_token(client, mailboxes)))
    assert client.get("/me/export", headers=session).status_code == 200


def test_the_cookie_of_a_reset_replaces_that_of_an_earlier_session(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    token = reset_token(client, mailboxes)
    assert sign_up(client, "Somebody").status_code == 201
    carried = dict(client.cookies)
    body = {"token": token, "new_password": THIRD}
    assert client.post("/password-reset/confirm", json=body).status_code == 200
    assert client.get("/me").json()["user"]["username"] == "Alice"
    client.cookies.clear()
    client.cookies.update(carried)
    assert client.get("/me").status_code == 401


def test_a_reset_on_a_shared_device_leaves_it_known_to_the_others(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    """Users of one browser share its token, which another one would replace."""
    joined = sign_up(client, "Bobby", transport="bearer")
    device = joined.json()["session"]["device_token"]
    body = {"token": reset_token(client, mailboxes), "new_password": THIRD, "transport": "bearer"}
    reset = client.post("/password-reset/confirm", json=body | {"device_token": device})
    assert reset.status_code == 200, reset.text
    assert reset.json()["session"]["device_token"] == device


def test_a_refused_password_uses_no_link_up(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    token = reset_token(client, mailboxes)
    assert codes(confirm_reset(client, token, "password")) == {"new_password": "too_common"}
    refused = confirm_reset(client, token, "alice and nothing else")
    assert codes(refused) == {"new_password": "contains_username"}
    assert confirm_reset(client, token).status_code == 200


def test_another_request_leaves_the_first_link_and_one_that_is_used_ends_all(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    tokens = [reset_token(client, mailboxes, number=number) for number in (1, 2, 3)]
    assert len(set(tokens)) == 3
    assert confirm_reset(client, tokens[1]).status_code == 200
    for token in tokens:
        assert problem(confirm_reset(client, token)) == INVALID_CHALLENGE


def change_password(client: httpx.Client, alice: dict[str, str]) -> None:
    body = {"current_password": NEW_PASSWORD, "new_password": THIRD}
    assert client.put("/me/password", json=body, headers=alice).status_code == 200


def remove_address(client: httpx.Client, alice: dict[str, str]) -> None:
    assert client.delete("/me/email", headers=alice).status_code == 204


def change_address(client: httpx.Client, alice: dict[str, str], mailboxes: Mailboxes) -> None:
    sent = client.put("/me/email", json={"email": NEW}, headers=alice)
    body = {"challenge_token": sent.json()["challenge_token"], "code": mailboxes.code(NEW)}
    assert client.post("/me/email/verify", json=body, headers=alice).status_code == 200


@pytest.mark.parametrize("event", ["password", "removal", "change"])
def test_a_link_ends_with_the_password_and_the_address(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str], event: str
) -> None:
    """It may be in the hands of who has the former address."""
    token = reset_token(client, mailboxes)
    if event == "password":
        change_password(client, alice)
    elif event == "removal":
        remove_address(client, alice)
    else:
        change_address(client, alice, mailboxes)
    assert problem(confirm_reset(client, token, "one more passphrase")) == INVALID_CHALLENGE


def test_of_simultaneous_passwords_one_is_set(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    token = reset_token(client, mailboxes)
    passwords = [f"passphrase of attempt {number}" for number in range(10)]
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(confirm_reset, [client] * 10, [token] * 10, passwords))
    assert sorted(each.status_code for each in answers) == [200] + [401] * 9
    for password, answer in zip(passwords, answers, strict=True):
        assert log_in_by(client, ALICE, password).is_success is answer.is_success
    all_are_answered(service)
    assert len(mailboxes.of(ALICE, "Your password was changed")) == 1


def test_a_link_is_valid_for_an_hour(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    token = reset_token(client, mailboxes)
    execute(service.database_url, "UPDATE challenge SET expires_at = expires_at - interval '1 h'")
    assert problem(confirm_reset(client, token)) == INVALID_CHALLENGE


@pytest.mark.parametrize(
    "identifier",
    ["Nobody", "nobody@example.org", "Bobby", f"{ALICE},b@example.org", f"{ALICE} ", "a@b\r\nBcc"],
)
def test_whoever_is_meant_the_answer_is_the_same_and_nothing_is_mailed(
    service: Service,
    client: httpx.Client,
    mailboxes: Mailboxes,
    alice: dict[str, str],
    identifier: str,
) -> None:
    """Bobby has no address."""
    sign_up(client, "Bobby")
    client.cookies.clear()
    before = len(mailboxes.of(ALICE))
    known = client.post("/password-reset", json={"identifier": "Alice"})
    mailboxes.newest(ALICE, "Reset")
    unknown = client.post("/password-reset", json={"identifier": identifier})
    assert (unknown.status_code, unknown.json()) == (202, {})
    assert unknown.headers.keys() == known.headers.keys()
    all_are_answered(service)
    assert len(mailboxes.of(ALICE)) == before + 1
    assert len(mailboxes._smtp.mails) == before + 1


@pytest.mark.parametrize(
    ("identifier", "code"),
    [([ALICE, "b@example.org"], "wrong_type"), ({"email": ALICE}, "wrong_type"), ("", "too_short")],
)
def test_an_identifier_is_one_text(client: httpx.Client, identifier: object, code: str) -> None:
    refused = client.post("/password-reset", json={"identifier": identifier})
    assert codes(refused) == {"identifier": code}


def test_no_link_goes_to_an_address_that_was_not_verified(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    execute(service.database_url, "UPDATE key SET verified_at = NULL")
    request_reset(client, ALICE)
    request_reset(client, "Alice")
    all_are_answered(service)
    assert mailboxes.of(ALICE, "Reset") == []
    assert log_in_by(client, ALICE).status_code == 200


@pytest.mark.parametrize("identifier", ["Alice", "Nobody"])
def test_requests_are_limited_by_network_whoever_they_are_for(
    client: httpx.Client, alice: dict[str, str], identifier: str
) -> None:
    """One of twenty was used to sign Alice up."""
    statuses = [
        client.post("/password-reset", json={"identifier": identifier}).status_code
        for _ in range(21)
    ]
    assert statuses == [202] * 19 + [429] * 2


def test_requests_that_another_process_has_left_are_answered(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    """One that ended before it could, for example: nothing but the time wakes this one."""
    all_are_answered(service)
    execute(service.database_url, ADD_REQUESTS, ["nobody", "alice"])
    mailboxes.newest(ALICE, "Reset")
    all_are_answered(service)


def test_a_known_device_has_a_limit_of_its_own(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    device = log_in_by(client, "Alice").json()["session"]["device_token"]
    for token in ("", "A" * 43):
        body = {"identifier": "Nobody", "device_token": token}
        while client.post("/password-reset", json=body).status_code != 429:
            pass
    body = {"identifier": "Alice", "device_token": device}
    assert client.post("/password-reset", json=body).status_code == 202
    mailboxes.newest(ALICE, "Reset")


def test_beyond_five_links_an_hour_none_is_mailed_and_notices_are(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    """Whoever asks for links cannot mute what tells the owner of a change."""
    for _ in range(7):
        request_reset(client, ALICE)
    mailboxes.newest(ALICE, "Reset", number=5)
    all_are_answered(service)
    assert len(mailboxes.of(ALICE, "Reset")) == 5
    change_password(client, alice)
    mailboxes.newest(ALICE, "Your password was changed")


HEADERS = {
    "Host": "127.0.0.1",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Prefix": "//evil.example",
    "Forwarded": "host=evil.example;proto=http",
    "Referer": "https://evil.example/",
}


def test_no_header_changes_the_link(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    response = client.post("/password-reset", json={"identifier": ALICE}, headers=HEADERS)
    assert response.status_code == 202
    mail = mailboxes.newest(ALICE, "Reset")
    assert mail.recipients == [ALICE]
    for part in (mail.part("plain"), mail.part("html")):
        assert "evil.example" not in part
        assert "https://app.example.com/reset#token=" in part
        assert part.replace("https://app.example.com/reset", "").count("://") == 0


def test_nothing_is_used_up_by_reading(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    """Scanners of mail follow links."""
    token = reset_token(client, mailboxes)
    for method in ("GET", "HEAD", "OPTIONS"):
        for path in ("/password-reset/confirm", "/undo", "/signup/email/verify"):
            client.request(method, path, params={"token": token})
    assert confirm_reset(client, token).status_code == 200


def test_the_link_of_a_deleted_user_is_worth_nothing(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    token = reset_token(client, mailboxes)
    assert client.delete("/me", headers=alice).status_code == 204
    mailboxes.newest(ALICE, "Your account was deleted")
    assert problem(confirm_reset(client, token)) == INVALID_CHALLENGE


def test_the_link_of_a_user_without_a_name_to_log_in_with_is_worth_nothing(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    token = reset_token(client, mailboxes)
    execute(service.database_url, "DELETE FROM key")
    assert problem(confirm_reset(client, token)) == INVALID_CHALLENGE
    assert client.get("/me", headers=alice).status_code == 200


def test_a_wrong_or_changed_token_is_worth_nothing(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    token = reset_token(client, mailboxes)
    changed = token[:-1] + ("A" if token[-1] != "A" else "B")
    for each in ("", "A" * 64, changed, token + "=", token.lower(), bearer(token)["Authorization"]):
        assert problem(confirm_reset(client, each)) == INVALID_CHALLENGE
    assert confirm_reset(client, token).status_code == 200
