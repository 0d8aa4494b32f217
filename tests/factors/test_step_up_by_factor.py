"""Step-up of a user with a factor: by a factor, and by nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.databases import execute, fetch_value, held, wait_for_lock_waiters
from tests.factories import PASSWORD, REMOVE_PASSWORDS, log_in, moment, sign_up
from tests.factors.conftest import (
    NOT_AUTHENTICATED,
    STALE,
    WRONG,
    Owner,
    Phone,
    age,
    methods_of,
    owner_of,
    problem,
    session_of,
)
from tests.flows.conftest import ALICE, Mailboxes, user_with_address
from tests.services import Service

OTHER = "00000000-0000-0000-0000-000000000000"
NEW = "quite another passphrase"

NEEDING: list[tuple[str, str, Any]] = [
    ("POST", "/me/totp", None),
    ("POST", "/me/totp/confirm", {"code": "123456"}),
    ("DELETE", "/me/totp", None),
    ("POST", "/me/recovery-codes", None),
    ("POST", "/me/passkeys/options", None),
    ("POST", "/me/passkeys", {"challenge_token": "A" * 64, "credential": {}}),
    ("PATCH", f"/me/passkeys/{OTHER}", {"name": "key"}),
    ("DELETE", f"/me/passkeys/{OTHER}", None),
    ("PUT", "/me/email", {"email": "new@example.org"}),
    ("DELETE", "/me/email", None),
    ("PUT", "/me/username", {"username": "Alicia"}),
    ("PUT", "/me/password", {"current_password": PASSWORD, "new_password": NEW}),
    ("DELETE", "/me/password", None),
    ("DELETE", "/me", None),
    ("DELETE", "/me", {"password": PASSWORD}),
    ("GET", "/me/export", None),
    ("DELETE", "/sessions", None),
    ("DELETE", f"/sessions/{OTHER}", None),
]


def by_password(owner: Owner, session: dict[str, str]) -> httpx.Response:
    body = {"method": "password", "password": owner.password}
    return owner.client.post("/me/reauthenticate", json=body, headers=session)


@pytest.mark.parametrize(("method", "path", "body"), NEEDING)
def test_a_password_is_not_enough_and_a_factor_is(
    service: Service, alice: Owner, method: str, path: str, body: Any
) -> None:
    age(service.database_url, minutes=11)
    session = session_of(by_password(alice, alice.session))
    refused = alice.client.request(method, path, json=body, headers=session)
    assert problem(refused) == STALE
    assert refused.json()["methods"] == ["totp", "recovery_code"]
    assert refused.headers["www-authenticate"] == (
        'Bearer error="insufficient_user_authentication", max_age="600"'
    )
    session = session_of(alice.reauthenticate(session, alice.phone.next_code()))
    response = alice.client.request(method, path, json=body, headers=session)
    assert response.status_code not in {401, 500} or problem(response)[1] == "invalid_challenge"


def test_reauthentication_by_a_password_is_remembered_and_renews_nothing(
    service: Service, alice: Owner
) -> None:
    age(service.database_url, minutes=11)
    before = alice.client.get("/me", headers=alice.session).json()["session"]
    proven = by_password(alice, alice.session)
    session = proven.json()["session"]
    assert methods_of(proven) == ["totp", "password"]
    assert session["authenticated_at"] == before["authenticated_at"]
    assert session["methods"][0] == before["methods"][-1]
    assert moment(session["methods"][1]["at"]) > moment(before["authenticated_at"])


def test_each_method_keeps_its_own_time(service: Service, alice: Owner) -> None:
    age(service.database_url, minutes=20)
    proven = alice.reauthenticate(alice.session, alice.phone.next_code())
    session = proven.json()["session"]
    assert methods_of(proven) == ["password", "totp"]
    password, totp = (moment(each["at"]) for each in session["methods"])
    assert totp == moment(session["authenticated_at"])
    assert password < totp


def test_a_factor_renews_step_up_and_replaces_the_token(service: Service, alice: Owner) -> None:
    age(service.database_url, minutes=11)
    proven = alice.reauthenticate(alice.session, alice.phone.next_code())
    assert proven.headers["cache-control"] == "no-store"
    assert problem(alice.client.get("/me", headers=alice.session)) == NOT_AUTHENTICATED
    assert alice.client.get("/me/export", headers=session_of(proven)).status_code == 200


def test_a_wrong_code_renews_nothing_and_keeps_the_token(service: Service, alice: Owner) -> None:
    age(service.database_url, minutes=11)
    assert problem(alice.reauthenticate(alice.session, alice.phone.wrong_code())) == WRONG
    assert problem(alice.client.get("/me/export", headers=alice.session)) == STALE


def test_the_proof_of_a_log_in_is_that_of_its_factor(service: Service, alice: Owner) -> None:
    """Its password was right before; from the factor on the ten minutes count."""
    challenge = alice.challenge()
    moved = "UPDATE challenge SET expires_at = expires_at - interval '9 min'"
    execute(service.database_url, moved)
    done = alice.complete(challenge, alice.phone.next_code()).json()["session"]
    assert done["authenticated_at"] == done["created_at"] == done["methods"][1]["at"]
    password = moment(done["methods"][0]["at"])
    assert (moment(done["created_at"]) - password).total_seconds() == pytest.approx(540, abs=50)


def test_a_session_is_not_proven_by_another_one(service: Service, alice: Owner) -> None:
    other = session_of(alice.log_in())
    age(service.database_url, minutes=11)
    assert alice.reauthenticate(other, alice.phone.next_code()).status_code == 200
    assert problem(alice.client.get("/me/export", headers=alice.session)) == STALE


def test_a_user_without_a_factor_is_not_proven_by_a_code(
    service: Service, client: httpx.Client
) -> None:
    session = session_of(sign_up(client, "Bobby", transport="bearer"))
    age(service.database_url, minutes=11)
    for method, code in (("totp", "123456"), ("recovery_code", "0" * 24)):
        body = {"method": method, "code": code}
        assert problem(client.post("/me/reauthenticate", json=body, headers=session)) == WRONG
    assert problem(client.get("/me/export", headers=session)) == STALE


def test_an_app_that_is_not_confirmed_proves_nobody(service: Service, client: httpx.Client) -> None:
    session = session_of(sign_up(client, "Bobby", transport="bearer"))
    secret = client.post("/me/totp", headers=session).json()["secret"]
    phone = Phone(service.database_url, secret)
    body = {"method": "totp", "code": phone.code()}
    assert problem(client.post("/me/reauthenticate", json=body, headers=session)) == WRONG


def test_after_the_last_factor_the_password_is_enough_again(service: Service, alice: Owner) -> None:
    assert alice.client.delete("/me/totp", headers=alice.session).status_code == 204
    age(service.database_url, minutes=11)
    refused = alice.client.get("/me/export", headers=alice.session)
    assert refused.json()["methods"] == ["password"]
    session = session_of(by_password(alice, alice.session))
    assert alice.client.get("/me/export", headers=session).status_code == 200


def test_a_password_change_with_a_factor_needs_both(service: Service, alice: Owner) -> None:
    body = {"current_password": "not the password", "new_password": NEW}
    wrong = alice.client.put("/me/password", json=body, headers=alice.session)
    assert problem(wrong) == (401, "invalid_credentials")
    age(service.database_url, minutes=11)
    body = {"current_password": PASSWORD, "new_password": NEW}
    assert problem(alice.client.put("/me/password", json=body, headers=alice.session)) == STALE
    session = session_of(alice.reauthenticate(alice.session, alice.phone.next_code()))
    changed = alice.client.put("/me/password", json=body, headers=session)
    assert changed.status_code == 200
    assert problem(log_in(alice.client, password=PASSWORD)) == (401, "invalid_credentials")


def test_a_password_change_does_not_renew_the_step_up_of_a_factor(
    service: Service, alice: Owner
) -> None:
    age(service.database_url, minutes=9)
    body = {"current_password": PASSWORD, "new_password": NEW}
    session = session_of(alice.client.put("/me/password", json=body, headers=alice.session))
    age(service.database_url, minutes=2)
    assert problem(alice.client.get("/me/export", headers=session)) == STALE


def test_a_user_with_a_password_cannot_leave_it_out(service: Service, alice: Owner) -> None:
    body = {"new_password": NEW}
    refused = alice.client.put("/me/password", json=body, headers=alice.session)
    assert refused.status_code in {400, 401}
    assert problem(log_in(alice.client, password=NEW)) == (401, "invalid_credentials")


def test_a_first_password_needs_the_factor_of_who_has_one(service: Service, alice: Owner) -> None:
    execute(service.database_url, REMOVE_PASSWORDS)
    age(service.database_url, minutes=11)
    body = {"new_password": NEW}
    refused = alice.client.put("/me/password", json=body, headers=alice.session)
    assert problem(refused) == STALE
    assert refused.json()["methods"] == ["totp", "recovery_code"]
    session = session_of(alice.reauthenticate(alice.session, alice.phone.next_code()))
    changed = alice.client.put("/me/password", json=body, headers=session)
    assert changed.status_code == 200
    assert problem(log_in(alice.client, password=NEW)) == (401, "second_factor_required")


def test_the_options_name_factors_and_mail_no_code(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    execute(service.database_url, REMOVE_PASSWORDS)
    alice = mailed_alice
    options = alice.client.post("/me/reauthenticate/options", headers=alice.session)
    assert options.json() == {"methods": ["totp", "recovery_code"]}
    assert fetch_value(service.database_url, "SELECT count(*) FROM mail") == 0
    assert len(mailboxes.of(ALICE, "code")) == 1


def test_a_code_that_was_mailed_before_the_first_factor_proves_nobody(
    service: Service, client: httpx.Client, mailboxes: Mailboxes
) -> None:
    session = user_with_address(client, mailboxes, username="Alice")
    execute(service.database_url, REMOVE_PASSWORDS)
    sent = client.post("/me/reauthenticate/options", headers=session).json()
    code = mailboxes.code(ALICE, number=2)
    owner_of(client, service.database_url, session, "Alice")
    age(service.database_url, minutes=11)
    body = {"method": "email_code", "challenge_token": sent["challenge_token"], "code": code}
    refused = client.post("/me/reauthenticate", json=body, headers=session)
    assert problem(refused) == (401, "invalid_challenge")


def test_a_session_that_ends_while_the_code_waits_is_not_renewed(
    service: Service, alice: Owner
) -> None:
    code = alice.phone.next_code()
    with ThreadPoolExecutor(1) as pool:
        with held(
            service.database_url,
            'SELECT FROM "user" FOR UPDATE; DELETE FROM session',
            end="COMMIT",
        ):
            answer = pool.submit(alice.reauthenticate, alice.session, code)
            wait_for_lock_waiters(service.database_url)
        assert problem(answer.result()) == NOT_AUTHENTICATED
    assert fetch_value(service.database_url, "SELECT max(last_step) FROM totp") == 0


def test_the_session_tells_which_method_stepped_up(service: Service, alice: Owner) -> None:
    code = alice.recovery_codes[0]
    proven = alice.reauthenticate(alice.session, code, "recovery_code")
    assert methods_of(proven) == ["password", "totp", "recovery_code"]
    listed = alice.client.get("/sessions", headers=session_of(proven)).json()["sessions"]
    assert [each["method"] for each in listed[0]["methods"]] == methods_of(proven)


def test_nine_minutes_after_the_factor_step_up_lasts(alice: Owner, service: Service) -> None:
    age(service.database_url, minutes=9)
    assert alice.client.get("/me/export", headers=alice.session).status_code == 200
