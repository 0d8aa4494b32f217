"""``ostiary after-restore``: nothing that had ended since the backup lives again."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.databases import execute, fetch_value
from tests.factories import log_in
from tests.factors.conftest import CHALLENGE, NOT_AUTHENTICATED, Owner, problem, session_of
from tests.factors.passkeys import (
    add_passkey,
    answer,
    browser,
    complete,
    count,
    log_in_by_passkey,
    log_in_options,
    second_factor,
)
from tests.flows.conftest import ALICE, Mailboxes, command, sign_up_by_email, verify_sign_up
from tests.services import Service

UNKNOWN = (401, "unknown_passkey")
INVALID = (401, "invalid_credentials")

SERVICE_TOKEN = """
INSERT INTO service_token (id, name, secret_hash, scopes, expires_at, suspended_at)
VALUES (CAST($1 AS uuid), 'of-' || CAST($1 AS uuid), 'hash', '{}', now() + interval '1 year', $2)
"""
INVITATION = """
INSERT INTO invitation (id, secret_hash, expires_at)
VALUES (gen_random_uuid(), 'hash', now() + interval '1 day')
"""
LOSE_PASSKEYS = "UPDATE passkey SET credential_id = decode(md5(random()::text), 'hex')"
MAKE_CODES_COUNT = "UPDATE restore SET restored_at = restored_at - interval '5 minutes'"


def after_restore(service: Service) -> Any:
    """Run the command, which must succeed. Return what it tells."""
    result = command("after-restore", "--yes", "--json", DATABASE_URL=service.database_url)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_all_sessions_have_ended_in_every_process(service: Service, alice: Owner) -> None:
    assert after_restore(service)["sessions"] == 1
    for _ in range(5):
        refused = alice.client.get("/me", headers=alice.session)
        assert problem(refused) == NOT_AUTHENTICATED


def test_challenges_and_outstanding_mails_are_void(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: Owner
) -> None:
    begun = alice.challenge()
    mailed = sign_up_by_email(client, "bobby@example.org")
    code = mailboxes.code("bobby@example.org")
    restored = after_restore(service)
    assert restored["challenges"] >= 2
    assert count(service, "challenge") == count(service, "reset_request") == 0
    execute(service.database_url, MAKE_CODES_COUNT)
    assert problem(alice.complete(begun, alice.phone.next_code())) == CHALLENGE
    assert problem(verify_sign_up(client, mailed, code)) == CHALLENGE


def test_a_mail_with_a_code_that_waits_is_dropped_and_a_notice_is_not(
    service: Service, alice: Owner
) -> None:
    waiting = """
    INSERT INTO mail (id, kind, recipient, language, challenge_id, expires_at, next_attempt_at)
    VALUES (gen_random_uuid(), 'reset_link', $1, 'en', $2, now() + interval '1 day', 'infinity')
    """
    execute(service.database_url, waiting, ALICE, uuid4())
    execute(service.database_url, waiting, ALICE, None)
    assert after_restore(service)["mails"] == 1
    left = "SELECT count(*) FROM mail WHERE next_attempt_at = 'infinity'"
    assert fetch_value(service.database_url, left) == 1


def test_recovery_codes_are_void_and_the_user_makes_new_ones(
    service: Service, alice: Owner
) -> None:
    assert after_restore(service)["recovery_codes"] == 10
    execute(service.database_url, MAKE_CODES_COUNT)
    refused = alice.complete(alice.challenge(), alice.recovery_codes[0], "recovery_code")
    assert problem(refused) == (401, "invalid_code")
    session = session_of(alice.log_in())
    renewed = alice.client.post("/me/recovery-codes", headers=session)
    assert len(renewed.json()["recovery_codes"]) == 10
    again = alice.complete(alice.challenge(), renewed.json()["recovery_codes"][0], "recovery_code")
    assert again.status_code == 200


def test_a_code_of_an_app_that_may_have_been_used_before_the_restore_does_not_count(
    service: Service, alice: Owner
) -> None:
    after_restore(service)
    for steps in (-1, 0, 1):
        challenge, code = alice.challenge(), alice.phone.code(steps)
        execute(service.database_url, "UPDATE totp SET last_step = 0")
        # Whatever the time is meanwhile: the code is of one of the steps around the restore.
        execute(service.database_url, "UPDATE restore SET restored_at = now()")
        assert problem(alice.complete(challenge, code)) == (401, "invalid_code")
    execute(service.database_url, MAKE_CODES_COUNT)
    assert alice.log_in().status_code == 200


def test_what_was_made_since_the_restore_stays(service: Service, alice: Owner) -> None:
    execute(service.database_url, INVITATION)
    execute(service.database_url, INVITATION)
    newer = "UPDATE invitation SET created_at = now() + interval '1 hour' WHERE id = $1"
    kept = fetch_value(service.database_url, "SELECT id FROM invitation LIMIT 1")
    execute(service.database_url, newer, kept)
    assert after_restore(service)["invitations"] == 1
    assert fetch_value(service.database_url, "SELECT id FROM invitation") == kept


def test_what_was_ended_is_in_the_audit_trail(service: Service, alice: Owner) -> None:
    alice.challenge()
    execute(service.database_url, SERVICE_TOKEN, uuid4(), None)
    execute(service.database_url, INVITATION)
    json_logs = {"DATABASE_URL": service.database_url, "OSTIARY_LOG_FORMAT": "json"}
    done = command("after-restore", "--yes", "--json", **json_logs)
    logged = [json.loads(line) for line in done.stderr.splitlines()]
    (event,) = [each for each in logged if each["event"] == "database_restored"]
    restored = json.loads(done.stdout)
    names = ("sessions", "service_tokens", "challenges", "invitations", "recovery_codes")
    assert {name: event[name] for name in names} == {name: restored[name] for name in names}
    assert 0 not in {restored[name] for name in names}
    assert event["signing_keys"] == restored["signing_keys"]


def test_service_tokens_are_suspended_and_invitations_withdrawn(
    service: Service, alice: Owner
) -> None:
    tokens = [uuid4(), uuid4()]
    long_ago = fetch_value(service.database_url, "SELECT now() - interval '1 day'")
    execute(service.database_url, SERVICE_TOKEN, tokens[0], None)
    execute(service.database_url, SERVICE_TOKEN, tokens[1], long_ago)
    execute(service.database_url, INVITATION)
    restored = after_restore(service)
    assert (restored["service_tokens"], restored["invitations"]) == (1, 1)
    suspended = "SELECT suspended_at FROM service_token WHERE id = $1"
    assert fetch_value(service.database_url, suspended, tokens[0]) is not None
    assert fetch_value(service.database_url, suspended, tokens[1]) == long_ago
    assert count(service, "invitation") == 0


def test_passwords_factors_and_what_else_there_is_stay(service: Service, alice: Owner) -> None:
    tables = ('"user"', "key", "totp", "sealed_secret", "device")
    before = [count(service, each) for each in tables]
    after_restore(service)
    assert [count(service, each) for each in tables] == before


@pytest.mark.parametrize("way", ["log-in", "second factor"])
def test_for_a_month_an_unknown_passkey_is_not_told_from_a_wrong_one(
    service: Service, client: httpx.Client, alice: Owner, way: str
) -> None:
    """An app deletes a passkey that it is told is unknown, and it may be younger than a backup."""
    device = browser(service)
    add_passkey(client, alice.session, device)

    def refused() -> tuple[int, str]:
        if way == "log-in":
            return problem(log_in_by_passkey(client, device))
        asked = second_factor(client)
        execute(service.database_url, LOSE_PASSKEYS)
        return problem(complete(client, asked, device))

    if way == "log-in":
        execute(service.database_url, LOSE_PASSKEYS)
        assert refused() == UNKNOWN
    after_restore(service)
    assert refused() == INVALID
    execute(service.database_url, "UPDATE restore SET restored_at = now() - interval '29 days'")
    if way == "log-in":
        assert refused() == INVALID
        execute(service.database_url, "UPDATE restore SET restored_at = now() - interval '31 days'")
        assert refused() == UNKNOWN


def test_five_unknown_passkeys_after_a_restore_end_the_challenge(
    service: Service, client: httpx.Client, alice: Owner
) -> None:
    device = browser(service)
    add_passkey(client, alice.session, device)
    after_restore(service)
    asked = second_factor(client)
    execute(service.database_url, LOSE_PASSKEYS)
    outcomes = [problem(complete(client, asked, device)) for _ in range(5)]
    assert outcomes == [INVALID] * 4 + [CHALLENGE]


def test_a_passkey_challenge_from_before_the_restore_is_void(
    service: Service, client: httpx.Client, alice: Owner
) -> None:
    device = browser(service)
    add_passkey(client, alice.session, device)
    asked = log_in_options(client)
    after_restore(service)
    body = answer(asked, device.get(asked["options"]), transport="bearer")
    assert problem(client.post("/login/passkey", json=body)) == CHALLENGE
    assert log_in_by_passkey(client, device).status_code == 200


def test_it_asks_before_it_does_anything(service: Service, alice: Owner) -> None:
    refused = command("after-restore", typed="n\n", DATABASE_URL=service.database_url)
    assert refused.returncode == 1
    assert count(service, "restore") == 0
    assert alice.client.get("/me", headers=alice.session).status_code == 200
    done = command("after-restore", typed="y\n", DATABASE_URL=service.database_url)
    assert done.returncode == 0
    assert "1 sessions were ended." in done.stdout
    assert "10 recovery codes were voided: users with a factor can make new ones." in done.stdout
    assert "database_restored" in done.stderr


def test_it_can_be_run_again(service: Service, alice: Owner) -> None:
    after_restore(service)
    again = after_restore(service)
    restored_at = again.pop("restored_at")
    assert restored_at.endswith("Z")
    assert set(again.values()) == {0}


def test_users_without_a_factor_log_in_as_before(service: Service, client: httpx.Client) -> None:
    client.post("/signup", json={"username": "Bobby", "password": "correct horse battery staple"})
    after_restore(service)
    client.cookies.clear()
    assert log_in(client, "Bobby").status_code == 200
