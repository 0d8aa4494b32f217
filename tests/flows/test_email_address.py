"""The address of a user: set, verified, changed, removed, and a change taken back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.databases import execute, fetch_value
from tests.factories import age_sessions, bearer, sign_up
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
    verify_sign_up,
    wrong,
)
from tests.services import Service

NEW = "alice@new.example.org"
ADD_ADDRESS_OF_BOBBY = """
INSERT INTO key (provider, name, user_id, display_name)
SELECT 'email', $1, user_id, $1 FROM key WHERE name = 'bobby'
"""
NAMES_OF_BOBBY = """
SELECT array_agg(name ORDER BY name) FROM key
WHERE user_id = (SELECT user_id FROM key WHERE name = 'bobby')
"""
INVALID_CHALLENGE = (401, "invalid_challenge")
NOT_AUTHENTICATED = (401, "not_authenticated")


@pytest.fixture
def alice(client: httpx.Client, mailboxes: Mailboxes) -> dict[str, str]:
    """Return the header of a session of a user with a name and an address."""
    return user_with_address(client, mailboxes, username="Alice")


def change(client: httpx.Client, session: dict[str, str], address: str = NEW) -> str:
    """Ask for another address. Return the token of the challenge."""
    response = client.put("/me/email", json={"email": address}, headers=session)
    assert response.status_code == 202, response.text
    token: str = response.json()["challenge_token"]
    return token


def verify(
    client: httpx.Client, session: dict[str, str], challenge: str, code: str
) -> httpx.Response:
    body = {"challenge_token": challenge, "code": code}
    return client.post("/me/email/verify", json=body, headers=session)


def undo(client: httpx.Client, token: str) -> httpx.Response:
    return client.post("/undo", json={"token": token})


def change_and_verify(
    client: httpx.Client, session: dict[str, str], mailboxes: Mailboxes, address: str = NEW
) -> None:
    challenge = change(client, session, address)
    assert verify(client, session, challenge, mailboxes.code(address)).status_code == 200


def test_a_user_name_gets_a_first_address(client: httpx.Client, mailboxes: Mailboxes) -> None:
    session = opened(sign_up(client, transport="bearer"))
    challenge = change(client, session)
    assert log_in_by(client, NEW, "correct horse battery staple").status_code == 401
    answer = verify(client, session, challenge, mailboxes.code(NEW))
    assert answer.json()["user"]["email"] == NEW
    assert answer.json()["user"]["email_verified_at"] is not None
    assert client.get("/me", headers=session).json()["user"] == answer.json()["user"]
    assert log_in_by(client, NEW, "correct horse battery staple").status_code == 200


def test_the_former_address_stays_until_the_new_one_is_proven_and_is_told(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    before = client.get("/me", headers=alice).json()["user"]
    challenge = change(client, alice)
    mailboxes.newest(ALICE, "Change of your address")
    assert client.get("/me", headers=alice).json()["user"] == before
    assert log_in_by(client, ALICE).status_code == 200
    assert log_in_by(client, NEW).status_code == 401
    assert verify(client, alice, challenge, mailboxes.code(NEW)).status_code == 200
    mailboxes.newest(ALICE, "Your address was changed")
    assert log_in_by(client, ALICE).status_code == 401
    assert log_in_by(client, NEW).status_code == 200
    request_reset(client, ALICE)
    request_reset(client, NEW)
    mailboxes.newest(NEW, "Reset")
    assert mailboxes.of(ALICE, "Reset") == []


def test_a_change_needs_a_recent_proof_and_a_session(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    for headers in ({}, bearer("A" * 64)):
        refused = client.put("/me/email", json={"email": NEW}, headers=headers)
        assert problem(refused) == NOT_AUTHENTICATED
    age_sessions(service.database_url, days=1 / 100)
    for method, body in (("PUT", {"email": NEW}), ("DELETE", None)):
        refused = client.request(method, "/me/email", json=body, headers=alice)
        assert problem(refused) == (401, "reauthentication_required")
    assert mailboxes.of(NEW) == []


def test_a_challenge_is_answered_in_its_session_only(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    challenge = change(client, alice)
    code = mailboxes.code(NEW)
    other = opened(log_in_by(client, "Alice"))
    bob = user_with_address(client, mailboxes, "bob@example.org")
    for session in (other, bob):
        assert problem(verify(client, session, challenge, code)) == INVALID_CHALLENGE
    assert problem(verify(client, {}, challenge, code)) == NOT_AUTHENTICATED
    assert verify(client, alice, challenge, code).status_code == 200


def test_a_code_proves_the_address_of_its_challenge_only(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    own = change(client, alice, NEW)
    others = change(client, alice, "victim@example.org")
    code = mailboxes.code(NEW)
    assert problem(verify(client, alice, others, code)) == (401, "invalid_code")
    assert verify(client, alice, own, code).json()["user"]["email"] == NEW


@pytest.mark.parametrize("event", ["log-out", "end others", "password"])
def test_a_challenge_ends_with_its_session_and_with_what_it_began_under(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str], event: str
) -> None:
    challenge = change(client, alice)
    code = mailboxes.code(NEW)
    if event == "password":
        body = {"current_password": NEW_PASSWORD, "new_password": "a third and longer passphrase"}
        session = client.put("/me/password", json=body, headers=alice)
        headers = bearer(session.json()["session"]["token"])
        assert problem(verify(client, headers, challenge, code)) == INVALID_CHALLENGE
        return
    other = opened(log_in_by(client, "Alice"))
    if event == "log-out":
        client.post("/logout", headers=alice)
    else:
        client.delete("/sessions", headers=other)
    assert problem(verify(client, alice, challenge, code)) == NOT_AUTHENTICATED
    assert problem(verify(client, other, challenge, code)) == INVALID_CHALLENGE


@pytest.mark.parametrize("event", ["change", "removal"])
def test_a_challenge_ends_with_the_address_that_it_would_replace(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str], event: str
) -> None:
    challenge = change(client, alice)
    code = mailboxes.code(NEW)
    if event == "change":
        change_and_verify(client, alice, mailboxes, "alice@newer.example.org")
    else:
        assert client.delete("/me/email", headers=alice).status_code == 204
    before = client.get("/me", headers=alice).json()["user"]["email"]
    assert problem(verify(client, alice, challenge, code)) == INVALID_CHALLENGE
    assert client.get("/me", headers=alice).json()["user"]["email"] == before


def test_who_proves_an_address_takes_it_from_a_user_who_has_not(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    """Such an address has moved in from elsewhere."""
    opened(sign_up(client, "Bobby", transport="bearer"))
    for address in (NEW, "bobby@example.org"):
        execute(service.database_url, ADD_ADDRESS_OF_BOBBY, address)
    change_and_verify(client, alice, mailboxes)
    assert client.get("/me", headers=alice).json()["user"]["email"] == NEW
    assert fetch_value(service.database_url, NAMES_OF_BOBBY) == ["bobby", "bobby@example.org"]


def test_of_two_users_who_prove_one_address_at_once_one_has_it(
    service: Service, client: httpx.Client, mailboxes: Mailboxes
) -> None:
    sessions = [
        user_with_address(client, mailboxes, f"{name}@example.org") for name in ("anna", "berta")
    ]
    challenges, typed = [], []
    for number, session in enumerate(sessions, 1):
        challenges.append(change(client, session))
        typed.append(mailboxes.code(NEW, number=number))
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(verify, [client] * 2, sessions, challenges, typed))
    assert sorted(each.status_code for each in answers) == [200, 409]
    (loser,) = [n for n, each in enumerate(answers) if each.status_code == 409]
    assert answers[loser].json()["code"] == "email_taken"
    kept = client.get("/me", headers=sessions[loser]).json()["user"]["email"]
    assert kept == f"{('anna', 'berta')[loser]}@example.org"
    count = "SELECT count(*) FROM key WHERE name = $1"
    assert fetch_value(service.database_url, count, NEW) == 1


def test_an_address_is_removed_and_told(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    assert client.delete("/me/email", headers=alice).status_code == 204
    mailboxes.newest(ALICE, "Your address was removed")
    assert client.get("/me", headers=alice).json()["user"]["email"] is None
    assert log_in_by(client, ALICE).status_code == 401
    assert log_in_by(client, "Alice").status_code == 200
    assert client.delete("/me/email", headers=alice).status_code == 204
    assert len(mailboxes.of(ALICE, "Your address was removed")) == 1


def test_the_last_way_in_is_not_removed(client: httpx.Client, mailboxes: Mailboxes) -> None:
    session = user_with_address(client, mailboxes)
    refused = client.delete("/me/email", headers=session)
    assert problem(refused) == (409, "last_way_in")
    assert log_in_by(client, ALICE).status_code == 200
    assert mailboxes.of(ALICE, "Your address was removed") == []


@pytest.mark.parametrize("event", ["change", "removal"])
def test_the_owner_of_the_former_address_takes_a_change_back(
    service: Service,
    client: httpx.Client,
    mailboxes: Mailboxes,
    alice: dict[str, str],
    event: str,
) -> None:
    if event == "change":
        change_and_verify(client, alice, mailboxes)
    else:
        client.delete("/me/email", headers=alice)
    other = opened(log_in_by(client, "Alice"))
    token = mailboxes.token(ALICE, "Your address was")
    execute(service.database_url, "UPDATE challenge SET expires_at = expires_at - interval '71 h'")
    assert undo(client, token).status_code == 204
    for session in (alice, other):
        assert problem(client.get("/me", headers=session)) == NOT_AUTHENTICATED
    for name in ("Alice", NEW, ALICE):
        assert log_in_by(client, name).status_code == 401
    assert problem(undo(client, token)) == INVALID_CHALLENGE
    reset = confirm_reset(client, mailboxes.token(ALICE, "Choose a new password"))
    assert reset.json()["user"]["email"] == ALICE
    assert reset.json()["user"]["email_verified_at"] is not None
    assert log_in_by(client, ALICE, "a third and longer passphrase").status_code == 200


def test_a_change_is_taken_back_for_72_hours(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    change_and_verify(client, alice, mailboxes)
    token = mailboxes.token(ALICE, "Your address was")
    execute(service.database_url, "UPDATE challenge SET expires_at = expires_at - interval '72 h'")
    assert problem(undo(client, token)) == INVALID_CHALLENGE


def test_a_thief_cannot_take_the_undo_back(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    """Their own address gets a link, too, when they change it again."""
    change_and_verify(client, alice, mailboxes, "thief@example.net")
    change_and_verify(client, alice, mailboxes, "thief@example.com")
    thiefs = mailboxes.token("thief@example.net", "Your address was")
    assert undo(client, mailboxes.token(ALICE, "Your address was")).status_code == 204
    assert problem(undo(client, thiefs)) == INVALID_CHALLENGE
    reset = confirm_reset(client, mailboxes.token(ALICE, "Choose a new password"))
    assert reset.json()["user"]["email"] == ALICE


def test_the_undo_of_a_later_change_leaves_that_of_an_earlier_one(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    change_and_verify(client, alice, mailboxes, "thief@example.net")
    change_and_verify(client, alice, mailboxes, "thief@example.com")
    assert undo(client, mailboxes.token("thief@example.net", "Your address")).status_code == 204
    assert undo(client, mailboxes.token(ALICE, "Your address was")).status_code == 204


def test_an_undo_is_told_to_the_address_that_it_takes_away(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    """The link may be in the hands of who had the former address: its new owner, or a thief."""
    change_and_verify(client, alice, mailboxes)
    foreign = {"User-Agent": "Curl of a stranger"}
    token = {"token": mailboxes.token(ALICE, "Your address was")}
    assert client.post("/undo", json=token, headers=foreign).status_code == 204
    told = mailboxes.newest(NEW, "Your address was changed")
    assert "Curl of a stranger" in told.part("plain")
    assert "#token=" not in told.part("plain")


def test_the_undo_of_a_removal_is_told_by_the_link_alone(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    client.delete("/me/email", headers=alice)
    assert undo(client, mailboxes.token(ALICE, "Your address was")).status_code == 204
    mailboxes.token(ALICE, "Choose a new password")
    assert len(mailboxes.of(ALICE, "Your address was")) == 1


def test_the_undo_ends_what_the_thief_has_asked_for(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    change_and_verify(client, alice, mailboxes)
    request_reset(client, NEW)
    link = mailboxes.token(NEW, "Reset")
    assert undo(client, mailboxes.token(ALICE, "Your address was")).status_code == 204
    assert problem(confirm_reset(client, link)) == INVALID_CHALLENGE


def test_an_undo_moves_the_security_version(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    """A log-in that is under way, by what the thief knew, opens no session after it."""
    change_and_verify(client, alice, mailboxes)
    read = 'SELECT security_version FROM "user"'
    before = fetch_value(service.database_url, read)
    assert undo(client, mailboxes.token(ALICE, "Your address was")).status_code == 204
    assert fetch_value(service.database_url, read) > before


def test_an_address_that_somebody_else_has_verified_since_does_not_come_back(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    change_and_verify(client, alice, mailboxes)
    token = mailboxes.token(ALICE, "Your address was")
    challenge = client.post("/signup/email", json={"email": ALICE}).json()["challenge_token"]
    code = mailboxes.code(ALICE, number=2)
    assert verify_sign_up(client, challenge, code).status_code == 201
    assert problem(undo(client, token)) == (409, "email_taken")
    assert client.get("/me", headers=alice).json()["user"]["email"] == NEW


def test_wrong_codes_are_counted(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    challenge = change(client, alice)
    code = mailboxes.code(NEW)
    for _ in range(4):
        assert problem(verify(client, alice, challenge, wrong(code))) == (401, "invalid_code")
    assert problem(verify(client, alice, challenge, wrong(code))) == INVALID_CHALLENGE
    assert problem(verify(client, alice, challenge, code)) == INVALID_CHALLENGE


def test_a_user_asks_for_twenty_codes_an_hour_in_all_sessions_and_on_all_devices(
    client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    """Or who logs in often enough could mail any number of strangers, and guess their codes."""
    other = log_in_by(client, "Alice").json()["session"]
    sessions = [alice, bearer(other["token"])]
    statuses = [
        client.put(
            "/me/email", json={"email": f"a{n}@example.org"}, headers=sessions[n % 2]
        ).status_code
        for n in range(21)
    ]
    assert statuses == [202] * 20 + [429]
    body = {"identifier": "Alice", "device_token": other["device_token"]}
    assert client.post("/password-reset", json=body).status_code == 429
    assert len(mailboxes.of(ALICE, "Change of your address")) <= 20
