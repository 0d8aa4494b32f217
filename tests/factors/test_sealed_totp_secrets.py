"""Secrets of authenticator apps without their key: the factor is asked for all the same."""

from __future__ import annotations

from base64 import b64encode

import pytest

from tests.databases import execute, fetch, fetch_value
from tests.factories import bearer, log_in
from tests.factors.conftest import (
    REQUIRED,
    WRONG,
    Owner,
    age,
    begin_set_up,
    confirm,
    problem,
    session_of,
)
from tests.flows.conftest import command
from tests.service_pool import ServicePool
from tests.services import SECRET_KEYS, Service

OLD, NEW = SECRET_KEYS, f"newer:{b64encode(b'n' * 32).decode()}"
ROWS = "SELECT id, key_id, ciphertext FROM sealed_secret"


def on(service: Service, owner: Owner) -> Owner:
    """Return the user at another service on the same database."""
    client = service.client()
    return Owner(
        client=client,
        username=owner.username,
        password=owner.password,
        session=owner.session,
        phone=owner.phone,
        recovery_codes=owner.recovery_codes,
    )


def secret_key(service: Service, *arguments: str, keys: str) -> str:
    """Run a command for secret keys. Return what it printed."""
    done = command(
        "secret-key",
        *arguments,
        DATABASE_URL=service.database_url,
        OSTIARY_SECRET_KEYS=keys,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def forgotten(service: Service, alice: Owner) -> Owner:
    """Return a user whose app's secret was given up, for its key is lost."""
    printed = secret_key(service, "forget", OLD.partition(":")[0], "--yes", keys=NEW)
    assert printed == "1 secrets were deleted.\n"
    return alice


def test_the_factor_is_asked_for_and_a_recovery_code_answers(
    service: Service, forgotten: Owner
) -> None:
    begun = forgotten.begin().json()
    assert begun["methods"] == ["recovery_code"]
    challenge = begun["challenge_token"]
    assert problem(forgotten.complete(challenge, forgotten.phone.next_code())) == WRONG
    done = forgotten.complete(challenge, forgotten.recovery_codes[0], "recovery_code")
    assert done.status_code == 200


def test_a_password_gives_no_step_up_without_the_secret(service: Service, forgotten: Owner) -> None:
    age(service.database_url, minutes=11)
    body = {"method": "password", "password": forgotten.password}
    proven = forgotten.client.post("/me/reauthenticate", json=body, headers=forgotten.session)
    refused = forgotten.client.delete("/me/totp", headers=session_of(proven))
    assert problem(refused) == (401, "reauthentication_required")
    assert refused.json()["methods"] == ["recovery_code"]


def test_the_app_is_removed_and_set_up_again(service: Service, forgotten: Owner) -> None:
    client, session = forgotten.client, forgotten.session
    assert problem(client.post("/me/totp", headers=session)) == (409, "already_set_up")
    assert client.delete("/me/totp", headers=session).status_code == 204
    phone = begin_set_up(client, service.database_url, session)
    assert confirm(client, session, phone.code()).status_code == 200


def test_without_secret_and_codes_nothing_opens(service: Service, forgotten: Owner) -> None:
    execute(service.database_url, "DELETE FROM recovery_code")
    begun = forgotten.begin().json()
    assert begun["methods"] == []
    refused = forgotten.complete(begun["challenge_token"], forgotten.phone.next_code())
    assert problem(refused) == WRONG


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE sealed_secret SET ciphertext = set_bit(ciphertext, 9, 1 - get_bit(ciphertext, 9))",
        "UPDATE sealed_secret SET ciphertext = 'x'",
        "UPDATE totp SET secret_id = gen_random_uuid()",
        "DELETE FROM sealed_secret",
        "UPDATE sealed_secret SET key_id = 'lost'",
    ],
)
def test_what_cannot_be_opened_is_a_factor_that_no_code_answers(
    service: Service, alice: Owner, damage: str
) -> None:
    execute(service.database_url, damage)
    challenge = alice.challenge()
    assert problem(alice.complete(challenge, alice.phone.next_code())) == WRONG
    done = alice.complete(challenge, alice.recovery_codes[0], "recovery_code")
    assert done.status_code == 200


def test_a_missing_key_is_told_in_the_log_and_not_overwritten(
    service: Service, alice: Owner
) -> None:
    execute(service.database_url, "UPDATE sealed_secret SET key_id = 'lost'")
    before = fetch(service.database_url, ROWS)
    challenge = alice.challenge()
    assert problem(alice.complete(challenge, alice.phone.next_code())) == WRONG
    assert "secret_key_missing" in service.logged()
    assert problem(alice.client.post("/me/totp", headers=alice.session)) == (409, "already_set_up")
    assert fetch(service.database_url, ROWS) == before
    execute(service.database_url, "UPDATE sealed_secret SET key_id = 'tests'")
    assert alice.complete(challenge, alice.phone.next_code()).status_code == 200


def test_a_secret_of_an_unconfirmed_app_that_is_lost_confirms_nothing(
    service: Service, alice: Owner
) -> None:
    client, session = alice.client, alice.session
    assert client.delete("/me/totp", headers=session).status_code == 204
    phone = begin_set_up(client, service.database_url, session)
    execute(service.database_url, "DELETE FROM sealed_secret")
    assert problem(confirm(client, session, phone.code())) == WRONG
    assert log_in(client, transport="bearer").status_code == 200


def test_with_several_keys_old_secrets_open_and_new_ones_are_sealed_with_the_first(
    services: ServicePool, service: Service, alice: Owner
) -> None:
    both = services.service({"OSTIARY_SECRET_KEYS": f"{NEW},{OLD}"})
    there = on(both, alice)
    session = session_of(there.log_in())
    assert fetch_value(both.database_url, "SELECT key_id FROM sealed_secret") == "tests"
    assert there.client.delete("/me/totp", headers=session).status_code == 204
    begin_set_up(there.client, both.database_url, session)
    assert fetch_value(both.database_url, "SELECT key_id FROM sealed_secret") == "newer"
    there.client.close()


def test_resealed_secrets_need_the_old_key_no_more(
    services: ServicePool, service: Service, alice: Owner
) -> None:
    printed = secret_key(service, "reseal", keys=f"{NEW},{OLD}")
    assert printed == "1 secrets were sealed anew.\n"
    assert fetch_value(service.database_url, "SELECT key_id FROM sealed_secret") == "newer"
    there = on(services.service({"OSTIARY_SECRET_KEYS": NEW}), alice)
    assert there.log_in().status_code == 200
    there.client.close()
    # Here the key is not there yet; the factor is asked for.
    begun = alice.begin().json()
    assert begun["methods"] == ["recovery_code"]
    assert problem(log_in(alice.client)) == REQUIRED


def test_a_challenge_outlives_the_rotation_of_keys(
    services: ServicePool, service: Service, alice: Owner
) -> None:
    challenge = alice.challenge()
    there = on(services.service({"OSTIARY_SECRET_KEYS": f"{NEW},{OLD}"}), alice)
    done = there.complete(challenge, alice.phone.next_code())
    session = bearer(done.json()["session"]["token"])
    assert alice.client.get("/me", headers=session).status_code == 200
    there.client.close()
