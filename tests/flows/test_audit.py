"""What the audit trail tells of addresses, mailed codes and forgotten passwords."""

from __future__ import annotations

import httpx
import pytest

from service.auth.audit import Event
from tests.audit_trail import events
from tests.databases import execute
from tests.factories import REMOVE_PASSWORDS, sign_up
from tests.flows.conftest import (
    ALICE,
    Mailboxes,
    confirm_reset,
    log_in_by,
    request_reset,
    user_with_address,
)
from tests.services import Service

NEW = "alice@new.example.org"


@pytest.fixture
def service(audited_service: Service) -> Service:
    return audited_service


@pytest.fixture
def alice(client: httpx.Client, mailboxes: Mailboxes) -> dict[str, str]:
    return user_with_address(client, mailboxes, username="Alice")


def ids(client: httpx.Client, session: dict[str, str]) -> dict[str, str]:
    body = client.get("/me", headers=session).json()
    return {"user_id": body["user"]["id"], "session_id": body["session"]["id"]}


def test_every_step_of_a_change_of_the_address_is_recorded_with_user_and_session(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    mine = ids(client, alice)
    asked = client.put("/me/email", json={"email": NEW}, headers=alice)
    assert events(service, asked) == [{"event": Event.EMAIL_REQUESTED, **mine}]
    body = {"challenge_token": asked.json()["challenge_token"], "code": mailboxes.code(NEW)}
    changed = client.post("/me/email/verify", json=body, headers=alice)
    assert events(service, changed) == [{"event": Event.EMAIL_CHANGED, **mine}]
    removed = client.delete("/me/email", headers=alice)
    assert events(service, removed) == [{"event": Event.EMAIL_REMOVED, **mine}]


@pytest.mark.parametrize("identifier", ["Alice", "Nobody"])
def test_a_request_for_a_link_is_recorded_without_saying_whether_there_is_such_a_user(
    service: Service, client: httpx.Client, alice: dict[str, str], identifier: str
) -> None:
    asked = client.post("/password-reset", json={"identifier": identifier})
    no_ids = {"user_id": None, "session_id": None}
    assert events(service, asked) == [{"event": Event.PASSWORD_RESET_REQUESTED, **no_ids}]


def test_a_reset_is_recorded_with_its_session_and_with_how_many_it_ended(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    user_id = ids(client, alice)["user_id"]
    log_in_by(client, "Alice")
    request_reset(client, ALICE)
    reset = confirm_reset(client, mailboxes.token(ALICE, "Reset"))
    opened = {"user_id": user_id, "session_id": reset.json()["session"]["id"], "ended": 2}
    assert events(service, reset) == [{"event": Event.PASSWORD_RESET, **opened}]


def test_the_session_that_a_reset_replaces_is_recorded(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    request_reset(client, ALICE)
    token = mailboxes.token(ALICE, "Reset")
    body = sign_up(client, "Bobby").json()
    bobbys = {"user_id": body["user"]["id"], "session_id": body["session"]["id"]}
    recorded = events(service, confirm_reset(client, token))
    assert {"event": Event.SESSION_REPLACED, **bobbys} in recorded


def test_a_proof_by_a_mailed_code_is_recorded_with_user_and_session(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    mine = ids(client, alice)
    execute(service.database_url, REMOVE_PASSWORDS)
    asked = client.post("/me/reauthenticate/options", headers=alice).json()
    body = {
        "method": "email_code",
        "challenge_token": asked["challenge_token"],
        "code": mailboxes.code(ALICE, number=2),
    }
    proven = client.post("/me/reauthenticate", json=body, headers=alice)
    assert events(service, proven) == [{"event": Event.REAUTHENTICATED, **mine}]


def test_an_undo_is_recorded_with_its_user_and_with_how_many_sessions_it_ended(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    user_id = ids(client, alice)["user_id"]
    log_in_by(client, "Alice")
    client.delete("/me/email", headers=alice)
    undone = client.post("/undo", json={"token": mailboxes.token(ALICE, "Your address was")})
    expected = {"event": Event.CHANGE_UNDONE, "user_id": user_id, "session_id": None, "ended": 2}
    assert events(service, undone) == [expected]
