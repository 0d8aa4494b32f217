"""What a passkey has answered is answered once, in time, and for what it was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from service.auth.factors.passkey_challenges import PasskeyChallenges, PasskeyPurpose
from service.auth.secret_keys import Keyring
from service.auth.unstored_challenges import LIFETIME
from service.settings.relying_party import RelyingPartyId
from service.settings.secret_keys import SecretKeys
from tests.authenticator import Authenticator, encoded
from tests.cli.running import run
from tests.databases import execute, fetch_value
from tests.factories import PASSWORD, moment
from tests.factors.passkeys import (
    Asked,
    Headers,
    add_passkey,
    answer,
    browser,
    complete,
    count,
    log_in_answer,
    log_in_by_passkey,
    log_in_options,
    new_user,
    opened,
    password_log_in,
    problem,
    reauthenticate,
    reauthentication_options,
    register,
    registration_options,
    second_factor,
)
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, SECRET_KEYS, Service, running

PARALLEL = 20
INVALID = (401, "invalid_challenge")


@pytest.fixture
def service(services: ServicePool) -> Service:
    return services.service({"OSTIARY_WORKERS": "2", **NO_LIMITS})


@pytest.fixture
def alice(client: httpx.Client) -> Headers:
    return new_user(client)


@pytest.fixture
def device(service: Service, client: httpx.Client, alice: Headers) -> Authenticator:
    """Return an authenticator with a passkey of the user."""
    device = browser(service)
    add_passkey(client, alice, device)
    return device


def simultaneously(
    service: Service, send: Callable[[httpx.Client], httpx.Response]
) -> Counter[Any]:
    """Send a request on many connections at once. Return how often there was which outcome."""
    clients = [service.client() for _ in range(PARALLEL)]
    try:
        for each in clients:
            each.get("/healthz")
        with ThreadPoolExecutor(PARALLEL) as pool:
            responses = list(pool.map(send, clients))
    finally:
        for each in clients:
            each.close()
    return Counter(each.status_code if each.is_success else problem(each) for each in responses)


# Once.


def test_of_simultaneous_log_ins_by_one_answer_one_succeeds(
    service: Service, client: httpx.Client, device: Authenticator
) -> None:
    body, before = log_in_answer(client, device), count(service, "session")
    outcomes = simultaneously(service, lambda each: each.post("/login/passkey", json=body))
    assert outcomes == {200: 1, INVALID: PARALLEL - 1}
    assert count(service, "session") == before + 1


def test_of_simultaneous_second_factors_by_one_answer_one_succeeds(
    service: Service, client: httpx.Client, device: Authenticator
) -> None:
    asked, before = second_factor(client), count(service, "session")
    body = answer(asked, device.get(asked["options"]), method="passkey")
    outcomes = simultaneously(service, lambda each: each.post("/login/second-factor", json=body))
    assert outcomes == {200: 1, INVALID: PARALLEL - 1}
    assert count(service, "session") == before + 1


def test_of_simultaneous_registrations_by_one_answer_one_succeeds(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    asked = registration_options(client, alice)
    body = answer(asked, browser(service).create(asked["options"]))
    outcomes = simultaneously(
        service, lambda each: each.post("/me/passkeys", json=body, headers=alice)
    )
    assert outcomes == {201: 1, INVALID: PARALLEL - 1}
    assert count(service, "passkey") == 1
    assert count(service, "recovery_code") == 10


def test_of_simultaneous_reauthentications_by_one_answer_one_succeeds(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator
) -> None:
    """The token is another one then, which a later request does not have."""
    asked = reauthentication_options(client, alice)
    body = answer(asked, device.get(asked["options"]), method="passkey")
    outcomes = simultaneously(
        service, lambda each: each.post("/me/reauthenticate", json=body, headers=alice)
    )
    assert outcomes.pop(200) == 1
    assert set(outcomes) <= {INVALID, (401, "not_authenticated")}


def test_two_first_passkeys_at_once_bring_one_set_of_recovery_codes(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    """The second one was asked for before the first one was there."""
    asked = [registration_options(client, alice) for _ in range(2)]
    bodies = [answer(each, browser(service).create(each["options"])) for each in asked]
    with ThreadPoolExecutor(2) as pool:
        responses = list(
            pool.map(lambda body: client.post("/me/passkeys", json=body, headers=alice), bodies)
        )
    assert sorted(each.status_code for each in responses) == [201, 401]
    assert count(service, "recovery_code") == 10


def test_a_reauthentication_is_answered_once(
    client: httpx.Client, alice: Headers, device: Authenticator
) -> None:
    asked = reauthentication_options(client, alice)
    body = answer(asked, device.get(asked["options"]), method="passkey")
    alice = opened(client.post("/me/reauthenticate", json=body, headers=alice))
    assert problem(client.post("/me/reauthenticate", json=body, headers=alice)) == INVALID


def issued(
    service: Service,
    purpose: PasskeyPurpose,
    seconds_ago: float,
    *,
    user_id: str | None = None,
    session_id: str | None = None,
) -> Asked:
    """Return options as the service would have given them a while ago."""
    now = fetch_value(service.database_url, "SELECT clock_timestamp()")
    challenges = PasskeyChallenges(
        Keyring(SecretKeys.parse(SECRET_KEYS)), RelyingPartyId("localhost")
    )
    made = challenges.issue(
        purpose,
        now - timedelta(seconds=seconds_ago),
        user_id=None if user_id is None else UUID(user_id),
        session_id=None if session_id is None else UUID(session_id),
    )
    return {"challenge_token": made.token, "challenge": encoded(made.challenge)}


def change_nothing_lately(service: Service) -> None:
    """Move the last change of what protects users back, before anything was asked."""
    execute(
        service.database_url, """UPDATE "user" SET security_changed_at = now() - interval '1d'"""
    )


def answered(client: httpx.Client, made: Asked, device: Authenticator) -> dict[str, Any]:
    options = {**log_in_options(client)["options"], "challenge": made["challenge"]}
    return answer(made, device.get(options), transport="bearer")


def test_an_answer_counts_until_the_challenge_expires(
    service: Service, client: httpx.Client, device: Authenticator
) -> None:
    change_nothing_lately(service)
    late = issued(service, PasskeyPurpose.LOG_IN, LIFETIME + 1)
    assert problem(client.post("/login/passkey", json=answered(client, late, device))) == INVALID
    # No trace of it is left, so that it cannot be told from one that was used.
    assert count(service, "passkey WHERE last_used_at IS NULL") == 1
    in_time = answered(client, issued(service, PasskeyPurpose.LOG_IN, LIFETIME - 60), device)
    assert client.post("/login/passkey", json=in_time).status_code == 200
    assert problem(client.post("/login/passkey", json=in_time)) == INVALID
    # Whoever had the page open for too long is asked again.
    assert log_in_by_passkey(client, device).status_code == 200


def test_the_options_say_when_they_expire(
    client: httpx.Client, alice: Headers, device: Authenticator, service: Service
) -> None:
    for asked in (log_in_options(client), registration_options(client, alice)):
        now = fetch_value(service.database_url, "SELECT clock_timestamp()")
        left = (moment(asked["expires_at"]) - now).total_seconds()
        assert LIFETIME - 60 < left <= LIFETIME
        assert asked["options"]["timeout"] <= LIFETIME * 1000


def test_a_registration_and_a_reauthentication_expire(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator
) -> None:
    change_nothing_lately(service)
    me = client.get("/me", headers=alice).json()
    ids = {"user_id": me["user"]["id"], "session_id": me["session"]["id"]}
    for seconds, is_refused in ((LIFETIME + 1, True), (LIFETIME - 60, False)):
        made = issued(service, PasskeyPurpose.REAUTHENTICATE, seconds, **ids)
        body = {**answered(client, made, device), "method": "passkey"}
        del body["transport"]
        response = client.post("/me/reauthenticate", json=body, headers=alice)
        if is_refused:
            assert problem(response) == INVALID
        else:
            alice = opened(response)
        made = issued(service, PasskeyPurpose.REGISTER, seconds, **ids)
        options = registration_options(client, alice)["options"]
        options["challenge"] = made["challenge"]
        body = answer(made, browser(service).create(options))
        response = client.post("/me/passkeys", json=body, headers=alice)
        if is_refused:
            assert problem(response) == INVALID
        else:
            assert response.status_code == 201
    assert count(service, "passkey") == 2


def test_a_used_answer_stays_used_after_a_cleanup(
    service: Service, client: httpx.Client, device: Authenticator
) -> None:
    """Also for a while after it has expired: a clock may be set back."""
    body = log_in_answer(client, device)
    assert client.post("/login/passkey", json=body).status_code == 200
    kept = "claimed_nonce WHERE expires_at > now() + interval '24 hours'"
    assert count(service, kept) == 2
    execute(service.database_url, "UPDATE claimed_nonce SET expires_at = now() + interval '1 min'")
    assert run("cleanup", DATABASE_URL=service.database_url).returncode == 0
    assert count(service, "claimed_nonce") == 2
    assert problem(client.post("/login/passkey", json=body)) == INVALID
    execute(service.database_url, "UPDATE claimed_nonce SET expires_at = now()")
    assert run("cleanup", DATABASE_URL=service.database_url).returncode == 0
    assert count(service, "claimed_nonce") == 0


def test_a_used_answer_stays_used_and_another_one_good_after_a_restart(
    database_url: str, tmp_path: Path
) -> None:
    environment = {"OSTIARY_PASSKEY_RP_ID": "example.com", **NO_LIMITS}
    with running(database_url, tmp_path / "1.log", environment) as first, first.client() as client:
        device = browser(first, origin="https://example.com")
        add_passkey(client, new_user(client), device)
        used, unused = (log_in_answer(client, device) for _ in range(2))
        assert client.post("/login/passkey", json=used).status_code == 200
    with running(database_url, tmp_path / "2.log", environment) as later, later.client() as client:
        assert problem(client.post("/login/passkey", json=used)) == INVALID
        assert client.post("/login/passkey", json=unused).status_code == 200


def test_a_failure_does_not_use_a_challenge_up(
    service: Service, client: httpx.Client, device: Authenticator
) -> None:
    asked = log_in_options(client)
    body = answer(asked, device.get(asked["options"]), transport="telegraph")
    assert client.post("/login/passkey", json=body).status_code == 400
    body["transport"] = "bearer"
    assert client.post("/login/passkey", json={**body, "more": 1}).status_code == 400
    liar = browser(service, origin="https://evil.example", residents=device.residents)
    refused = client.post("/login/passkey", json=answer(asked, liar.get(asked["options"])))
    assert problem(refused) == (401, "invalid_credentials")
    assert client.post("/login/passkey", json=body).status_code == 200


# For what it was asked.


def test_the_answer_to_another_challenge_is_refused(
    client: httpx.Client, alice: Headers, device: Authenticator
) -> None:
    """Both are valid; each proves nothing with the token of the other."""
    first, second = log_in_options(client), log_in_options(client)
    body = answer(first, device.get(second["options"]))
    assert problem(client.post("/login/passkey", json=body)) == (401, "invalid_credentials")
    first, second = (reauthentication_options(client, alice) for _ in range(2))
    swapped = {**first, "options": second["options"]}
    assert problem(reauthenticate(client, alice, swapped, device)) == (401, "invalid_credentials")
    first, second = second_factor(client), second_factor(client)
    swapped = {**first, "options": second["options"]}
    assert problem(complete(client, swapped, device)) == (401, "invalid_credentials")
    assert opened(reauthenticate(client, alice, reauthentication_options(client, alice), device))


def test_a_registration_for_another_challenge_is_refused(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    first, second = (registration_options(client, alice) for _ in range(2))
    swapped = {**first, "options": second["options"]}
    assert register(client, alice, swapped, browser(service)).status_code == 400
    assert register(client, alice, first, browser(service)).status_code == 201


def test_an_answer_is_good_for_one_purpose(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator
) -> None:
    asked = {
        "log-in": log_in_options(client),
        "reauthentication": reauthentication_options(client, alice),
        "second factor": second_factor(client),
        "registration": registration_options(client, alice),
    }
    doors: dict[str, tuple[str, dict[str, str], Headers]] = {
        "log-in": ("/login/passkey", {}, {}),
        "reauthentication": ("/me/reauthenticate", {"method": "passkey"}, alice),
        "second factor": ("/login/second-factor", {"method": "passkey"}, {}),
        "registration": ("/me/passkeys", {}, alice),
    }
    request = asked["log-in"]["options"]
    creation = asked["registration"]["options"]
    for purpose, made in asked.items():
        challenge = made["options"]["challenge"]
        for door, (path, fields, headers) in doors.items():
            if door == purpose:
                continue
            credential = (
                browser(service).create({**creation, "challenge": challenge})
                if door == "registration"
                else device.get({**request, "challenge": challenge})
            )
            body = answer(made, credential, **fields)
            refused = client.post(path, json=body, headers=headers)
            assert problem(refused) == INVALID, (purpose, door)
    # Nothing was used up.
    assert register(client, alice, asked["registration"], browser(service)).status_code == 201


def test_a_registration_is_good_for_one_session(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    bobby, other = new_user(client, "Bobby"), opened(password_log_in(client))
    asked = registration_options(client, alice)
    for session in (bobby, other):
        assert problem(register(client, session, asked, browser(service))) == INVALID
    client.post("/logout", headers=alice).raise_for_status()
    gone = register(client, alice, asked, browser(service))
    assert problem(gone) == (401, "not_authenticated")
    assert problem(register(client, other, asked, browser(service))) == INVALID
    assert count(service, "passkey") == 0


def test_a_reauthentication_is_good_for_one_session(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator
) -> None:
    other = opened(log_in_by_passkey(client, device))
    of_bobby, bobby = browser(service), new_user(client, "Bobby")
    add_passkey(client, bobby, of_bobby)
    asked = reauthentication_options(client, alice)
    assert problem(reauthenticate(client, other, asked, device)) == INVALID
    assert problem(reauthenticate(client, bobby, asked, device)) == INVALID
    assert reauthenticate(client, alice, asked, device).status_code == 200


def test_a_registration_needs_step_up_when_it_is_answered(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    asked = registration_options(client, alice)
    execute(service.database_url, "UPDATE session SET authenticated_at = now() - interval '11 min'")
    refused = register(client, alice, asked, browser(service))
    assert problem(refused) == (401, "reauthentication_required")
    assert count(service, "passkey") == 0


def change_password(client: httpx.Client, session: Headers) -> Headers:
    body = {"current_password": PASSWORD, "new_password": "an entirely different one"}
    return opened(client.put("/me/password", json=body, headers=session))


def test_a_change_of_what_protects_the_user_voids_what_was_asked_before(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator
) -> None:
    log_in = log_in_answer(client, device)
    asked = registration_options(client, alice)
    again = reauthentication_options(client, alice)
    pending = second_factor(client)
    alice = change_password(client, alice)
    assert problem(client.post("/login/passkey", json=log_in)) == INVALID
    assert problem(register(client, alice, asked, browser(service))) == INVALID
    assert problem(reauthenticate(client, alice, again, device)) == INVALID
    assert problem(complete(client, pending, device)) == INVALID
    # What is asked from now on is good.
    assert log_in_by_passkey(client, device).status_code == 200
    add_passkey(client, alice, browser(service))


def test_a_change_concerns_the_user_only(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator
) -> None:
    log_in = log_in_answer(client, device)
    change_password(client, new_user(client, "Bobby"))
    assert client.post("/login/passkey", json=log_in).status_code == 200


def test_an_addition_of_a_passkey_voids_what_was_asked_before(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    first, second = (registration_options(client, alice) for _ in range(2))
    assert register(client, alice, first, browser(service)).status_code == 201
    assert problem(register(client, alice, second, browser(service))) == INVALID
