"""``ostiary user factors``, as the person on call uses it for who has lost everything."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.databases import fetch_value
from tests.factories import log_in
from tests.factors.conftest import CHALLENGE, NOT_AUTHENTICATED, Owner, problem
from tests.factors.passkeys import browser, register, registration_options
from tests.flows.conftest import ALICE, Mailboxes, command
from tests.services import Service


def factors(service: Service, *arguments: str) -> Any:
    """Run ``ostiary user factors``, which must succeed. Return its output."""
    result = command(
        "user", "factors", "Alice", *arguments, "--json", DATABASE_URL=service.database_url
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def refusal(service: Service, *arguments: str) -> str:
    result = command("user", "factors", *arguments, DATABASE_URL=service.database_url)
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.fixture
def passkey(service: Service, alice: Owner) -> str:
    """Add a passkey to Alice's app. Return its id."""
    asked = registration_options(alice.client, alice.session)
    added = register(alice.client, alice.session, asked, browser(service), name="Laptop")
    assert added.status_code == 201, added.text
    passkey_id: str = added.json()["passkey"]["id"]
    return passkey_id


def test_the_factors_of_a_user_are_listed_without_what_belongs_to_the_user(
    service: Service, alice: Owner, passkey: str
) -> None:
    listed = factors(service)
    assert set(listed) == {"totp", "passkeys", "recovery_codes_left", "methods"}
    assert set(listed["totp"]) == {"confirmed_at", "last_used_at", "works"}
    (shown,) = listed["passkeys"]
    assert shown["id"] == passkey
    assert set(shown) == {"id", "name", "rp_id", "backed_up", "created_at", "last_used_at"}
    assert listed["recovery_codes_left"] == 10
    text = command("user", "factors", "Alice", DATABASE_URL=service.database_url).stdout
    assert "totp  added" in text
    assert passkey in text
    assert "10 recovery codes" in text
    assert alice.phone.secret not in text + json.dumps(listed)


def test_without_the_app_the_password_alone_logs_in_again(service: Service, alice: Owner) -> None:
    waiting = alice.challenge()
    left = factors(service, "--remove", "totp")
    assert (left["totp"], left["recovery_codes_left"], left["methods"]) == (None, 0, [])
    assert log_in(alice.client).status_code == 200
    assert problem(alice.complete(waiting, alice.phone.next_code())) == CHALLENGE
    me = alice.client.get("/me", headers=alice.session)
    assert problem(me) == NOT_AUTHENTICATED
    sealed = "SELECT count(*) FROM sealed_secret"
    assert fetch_value(service.database_url, sealed) == 0


def test_of_two_factors_the_other_one_stays(service: Service, alice: Owner, passkey: str) -> None:
    left = factors(service, "--remove", passkey)
    assert left["passkeys"] == []
    assert left["methods"] == ["totp", "recovery_code"]
    assert alice.log_in().status_code == 200


def test_the_user_is_told_by_mail(
    service: Service, mailed_alice: Owner, mailboxes: Mailboxes
) -> None:
    assert mailed_alice.username == "Alice"
    factors(service, "--remove", "totp")
    mailboxes.newest(ALICE, "A second factor was removed")


def test_what_is_not_there_is_not_removed(service: Service, alice: Owner) -> None:
    unknown = "00000000-0000-0000-0000-000000000000"
    assert "no such factor" in refusal(service, "Alice", "--remove", unknown)
    assert "neither" in refusal(service, "Alice", "--remove", "telephone")
    assert "no user" in refusal(service, "Nobody")
    factors(service, "--remove", "totp")
    assert "no such factor" in refusal(service, "Alice", "--remove", "totp")


def test_the_passkey_of_another_user_is_not_removed(
    service: Service, client: httpx.Client, alice: Owner, passkey: str, make_owner: Any
) -> None:
    make_owner("Bobby")
    assert "no such factor" in refusal(service, "Bobby", "--remove", passkey)
    (left,) = factors(service)["passkeys"]
    assert left["id"] == passkey
