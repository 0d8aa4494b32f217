"""A first password, for a user who has none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from service.auth.audit import Event
from tests.audit_trail import events
from tests.databases import execute, fetch_value, held, wait_for_lock_waiters
from tests.factories import REMOVE_PASSWORDS, age_sessions, bearer, codes
from tests.flows.conftest import (
    ALICE,
    Mailboxes,
    log_in_by,
    opened,
    problem,
    user_with_address,
)
from tests.services import Service

FIRST = "a third and longer passphrase"


@pytest.fixture
def service(audited_service: Service) -> Service:
    return audited_service


@pytest.fixture
def alice(service: Service, client: httpx.Client, mailboxes: Mailboxes) -> dict[str, str]:
    """Return the header of a session of a user with a name and an address, but no password."""
    session = user_with_address(client, mailboxes, username="Alice")
    execute(service.database_url, REMOVE_PASSWORDS)
    return session


def set_password(
    client: httpx.Client, session: dict[str, str], password: str = FIRST
) -> httpx.Response:
    return client.put("/me/password", json={"new_password": password}, headers=session)


def test_who_has_no_password_sets_one_after_a_recent_proof(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    age_sessions(service.database_url, days=1 / 100)
    assert problem(set_password(client, alice)) == (401, "reauthentication_required")
    asked = client.post("/me/reauthenticate/options", headers=alice).json()
    code = mailboxes.code(ALICE, number=2)
    body = {"method": "email_code", "challenge_token": asked["challenge_token"], "code": code}
    proven = opened(client.post("/me/reauthenticate", json=body, headers=alice))
    session = set_password(client, proven)
    assert session.status_code == 200
    assert client.get("/me", headers=proven).status_code == 401
    current = bearer(session.json()["session"]["token"])
    assert client.get("/me", headers=current).status_code == 200
    for name in ("Alice", ALICE):
        assert log_in_by(client, name, FIRST).status_code == 200
    mailboxes.newest(ALICE, "Your password was changed")


def test_the_other_sessions_end(
    service: Service, client: httpx.Client, alice: dict[str, str]
) -> None:
    execute(
        service.database_url,
        """INSERT INTO session (id, secret_hash, user_id, active_expires_at, idle_expires_at,
               absolute_expires_at)
           SELECT gen_random_uuid(), 'other', user_id, active_expires_at, idle_expires_at,
               absolute_expires_at FROM session""",
    )
    assert set_password(client, alice).status_code == 200
    assert fetch_value(service.database_url, "SELECT count(*) FROM session") == 1


def test_a_first_password_is_recorded_with_the_sessions_that_it_ended(
    service: Service, client: httpx.Client, mailboxes: Mailboxes
) -> None:
    session = user_with_address(client, mailboxes)
    for _ in range(2):
        assert log_in_by(client, ALICE).status_code == 200
    execute(service.database_url, REMOVE_PASSWORDS)
    changed = set_password(client, session)
    body = changed.json()
    ids = {"user_id": body["user"]["id"], "session_id": body["session"]["id"]}
    assert events(service, changed) == [{"event": Event.PASSWORD_CHANGED, **ids, "ended": 2}]


def test_of_simultaneous_first_passwords_one_is_set(
    service: Service, client: httpx.Client, alice: dict[str, str]
) -> None:
    """To change what the other one has set takes the password."""
    passwords = ("the password of one request", "the password of another")
    with ThreadPoolExecutor(2) as pool:
        with held(service.database_url, 'SELECT FROM "user" FOR UPDATE'):
            sent = [pool.submit(set_password, client, alice, each) for each in passwords]
            wait_for_lock_waiters(service.database_url, 2)
        answers = [each.result() for each in sent]
    assert sorted(each.status_code for each in answers) == [200, 400]
    for password, answer in zip(passwords, answers, strict=True):
        assert log_in_by(client, ALICE, password).is_success is answer.is_success
        if not answer.is_success:
            assert codes(answer) == {"current_password": "required"}


def test_who_has_a_password_needs_it(
    service: Service, client: httpx.Client, mailboxes: Mailboxes
) -> None:
    session = user_with_address(client, mailboxes)
    assert codes(set_password(client, session)) == {"current_password": "required"}
    age_sessions(service.database_url, days=1 / 100)
    assert codes(set_password(client, session)) == {"current_password": "required"}


def test_a_first_password_obeys_the_same_rules(client: httpx.Client, alice: dict[str, str]) -> None:
    assert codes(set_password(client, alice, "password")) == {"new_password": "too_common"}
    refused = set_password(client, alice, "alice and nothing else")
    assert codes(refused) == {"new_password": "contains_username"}


def test_a_password_needs_a_name_to_log_in_with(
    service: Service, client: httpx.Client, alice: dict[str, str]
) -> None:
    execute(service.database_url, "DELETE FROM key WHERE provider = 'email'")
    execute(service.database_url, "UPDATE key SET provider = 'github'")
    assert codes(set_password(client, alice)) == {"new_password": "not_allowed"}


def test_a_user_without_a_password_has_none_to_be_asked_for(
    client: httpx.Client, alice: dict[str, str]
) -> None:
    body = {"current_password": "a guess of mine", "new_password": FIRST}
    refused = client.put("/me/password", json=body, headers=alice)
    assert problem(refused) == (401, "invalid_credentials")
