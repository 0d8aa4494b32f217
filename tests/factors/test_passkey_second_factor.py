"""A passkey completes a log-in by password, and renews step-up."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.authenticator import Authenticator, encoded
from tests.databases import execute
from tests.factories import COOKIE, codes, moment
from tests.factors.passkeys import (
    Headers,
    add_passkey,
    answer,
    browser,
    complete,
    count,
    is_live,
    log_in_by_passkey,
    new_user,
    opened,
    password_log_in,
    problem,
    reauthenticate,
    reauthentication_options,
    registration_options,
    second_factor,
)
from tests.services import Service


@pytest.fixture
def alice(client: httpx.Client) -> Headers:
    return new_user(client)


@pytest.fixture
def device(service: Service, client: httpx.Client, alice: Headers) -> Authenticator:
    """Return an authenticator with a passkey of the user."""
    device = browser(service)
    add_passkey(client, alice, device)
    return device


def second_factor_body(
    client: httpx.Client, device: Authenticator, **members: Any
) -> dict[str, Any]:
    """Return an answer whose credential has other members in its ``response``."""
    asked = second_factor(client)
    credential = device.get(asked["options"])
    credential["response"] |= members
    return answer(asked, credential, method="passkey")


# As second factor.


def test_the_options_are_in_the_refusal(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator
) -> None:
    add_passkey(client, alice, browser(service))
    body = password_log_in(client).json()
    assert body["methods"] == ["passkey", "recovery_code"]
    options = body["passkey_options"]
    ids = client.get("/me/passkeys", headers=alice).json()["all_accepted_credential_ids"]
    assert options["allowCredentials"] == [
        {"type": "public-key", "id": each, "transports": ["internal", "hybrid"]} for each in ids
    ]
    assert (options["rpId"], options["userVerification"]) == ("localhost", "required")
    assert moment(body["expires_at"]).tzinfo is not None


def test_a_passkey_completes_a_log_in(client: httpx.Client, device: Authenticator) -> None:
    response = complete(client, second_factor(client), device)
    assert response.status_code == 200
    methods = response.json()["session"]["methods"]
    assert [each["method"] for each in methods] == ["password", "passkey"]
    assert is_live(client, opened(response))


def test_a_passkey_of_either_device_completes_it(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator
) -> None:
    second = browser(service)
    add_passkey(client, alice, second)
    for each in (device, second):
        assert complete(client, second_factor(client), each).status_code == 200


def test_the_log_in_goes_on_as_it_began(
    client: httpx.Client, alice: Headers, device: Authenticator
) -> None:
    asked = second_factor(client, transport="cookie", device_name="Phone")
    response = complete(client, asked, device)
    assert COOKIE in response.cookies
    assert "token" not in response.json()["session"]
    listed = client.get("/sessions").json()["sessions"]
    (current,) = [each for each in listed if each["current"]]
    assert current["device_name"] == "Phone"


def test_the_session_that_is_carried_ends_when_it_is_complete(
    client: httpx.Client, device: Authenticator
) -> None:
    bobby = new_user(client, "Bobby")
    asked = second_factor(client)
    body = answer(asked, device.get(asked["options"]), method="passkey")
    spoilt = {**body, "credential": {**body["credential"], "id": "AA", "rawId": "AA"}}
    refused = client.post("/login/second-factor", json=spoilt, headers=bobby)
    assert problem(refused) == (401, "unknown_passkey")
    assert is_live(client, bobby)
    opened(client.post("/login/second-factor", json=body, headers=bobby))
    assert not is_live(client, bobby)


def test_the_user_handle_may_be_missing_but_not_foreign(
    client: httpx.Client, device: Authenticator
) -> None:
    body = second_factor_body(client, device)
    del body["credential"]["response"]["userHandle"]
    assert client.post("/login/second-factor", json=body).status_code == 200
    body = second_factor_body(client, device, userHandle=None)
    assert client.post("/login/second-factor", json=body).status_code == 200
    for handle in ("", encoded(bytes(32)), "é", 5):
        body = second_factor_body(client, device, userHandle=handle)
        refused = client.post("/login/second-factor", json=body)
        assert problem(refused) == (401, "invalid_credentials")


def test_the_passkey_of_another_user_completes_nothing(
    service: Service, client: httpx.Client, device: Authenticator
) -> None:
    """Also if their authenticator names no user."""
    of_bobby = browser(service)
    add_passkey(client, new_user(client, "Bobby"), of_bobby)
    asked = second_factor(client)
    credential = of_bobby.get({**asked["options"], "allowCredentials": []})
    for handle in (True, False):
        if not handle:
            del credential["response"]["userHandle"]
        body = answer(asked, credential, method="passkey")
        refused = client.post("/login/second-factor", json=body)
        assert problem(refused) == (401, "invalid_credentials")
    assert complete(client, asked, device).status_code == 200


def test_five_wrong_answers_end_the_challenge(
    service: Service, client: httpx.Client, device: Authenticator
) -> None:
    asked = second_factor(client)
    liar = browser(service, flags=1, residents=device.residents)
    outcomes = [problem(complete(client, asked, liar)) for _ in range(5)]
    assert outcomes == [(401, "invalid_credentials")] * 4 + [(401, "invalid_challenge")]
    assert problem(complete(client, asked, device)) == (401, "invalid_challenge")
    assert complete(client, second_factor(client), device).status_code == 200


def test_five_unknown_passkeys_end_the_challenge(
    client: httpx.Client, device: Authenticator
) -> None:
    asked = second_factor(client)
    body = answer(asked, device.get(asked["options"]), method="passkey")
    unknown = {**body, "credential": {**body["credential"], "id": "AA", "rawId": "AA"}}
    outcomes = [problem(client.post("/login/second-factor", json=unknown)) for _ in range(5)]
    assert outcomes == [(401, "unknown_passkey")] * 4 + [(401, "invalid_challenge")]
    assert problem(complete(client, asked, device)) == (401, "invalid_challenge")


def test_what_is_no_answer_does_not_count(client: httpx.Client, device: Authenticator) -> None:
    asked = second_factor(client)
    for _ in range(6):
        body = answer(asked, {"id": 5}, method="passkey")
        refused = client.post("/login/second-factor", json=body)
        assert (refused.status_code, codes(refused)) == (400, {"credential": "not_allowed"})
    assert complete(client, asked, device).status_code == 200


def test_a_passkey_that_is_removed_meanwhile_completes_nothing(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator
) -> None:
    """The removal has moved the security version."""
    kept = browser(service)
    add_passkey(client, alice, kept)
    asked = second_factor(client)
    first = client.get("/me/passkeys", headers=alice).json()["passkeys"][0]["id"]
    client.delete(f"/me/passkeys/{first}", headers=alice).raise_for_status()
    assert problem(complete(client, asked, device)) == (401, "invalid_challenge")
    assert problem(complete(client, asked, kept)) == (401, "invalid_challenge")


def test_a_log_in_that_waits_is_no_session(client: httpx.Client, device: Authenticator) -> None:
    asked = second_factor(client)
    headers = {"Authorization": f"Bearer {asked['challenge_token']}"}
    for method, path in (
        ("GET", "/me"),
        ("GET", "/me/passkeys"),
        ("POST", "/me/passkeys/options"),
        ("GET", "/sessions"),
    ):
        response = client.request(method, path, headers=headers)
        assert problem(response) == (401, "not_authenticated")


# As reauthentication.


def lapse(service: Service) -> None:
    execute(service.database_url, "UPDATE session SET authenticated_at = now() - interval '11 min'")


def test_a_passkey_renews_step_up(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator
) -> None:
    lapse(service)
    refused = client.post("/me/passkeys/options", headers=alice)
    assert problem(refused) == (401, "reauthentication_required")
    response = reauthenticate(client, alice, reauthentication_options(client, alice), device)
    session = opened(response)
    assert not is_live(client, alice)
    methods = [each["method"] for each in response.json()["session"]["methods"]]
    assert methods == ["password", "passkey"]
    assert registration_options(client, session)


def test_the_options_name_the_passkeys_of_the_user(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator
) -> None:
    add_passkey(client, new_user(client, "Bobby"), browser(service))
    body = client.post("/me/reauthenticate/options", headers=alice).json()
    assert body["methods"] == ["passkey", "recovery_code"]
    allowed = body["passkey_options"]["allowCredentials"]
    ids = client.get("/me/passkeys", headers=alice).json()["all_accepted_credential_ids"]
    assert [each["id"] for each in allowed] == ids
    assert "expires_at" in body


def test_who_has_no_passkey_is_not_asked_for_one(client: httpx.Client, alice: Headers) -> None:
    body = client.post("/me/reauthenticate/options", headers=alice).json()
    assert body == {"methods": ["password"]}


def test_the_passkey_of_another_user_reauthenticates_nobody(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator
) -> None:
    of_bobby = browser(service)
    add_passkey(client, new_user(client, "Bobby"), of_bobby)
    asked = reauthentication_options(client, alice)
    credential = of_bobby.get({**asked["options"], "allowCredentials": []})
    del credential["response"]["userHandle"]
    body = answer(asked, credential, method="passkey")
    refused = client.post("/me/reauthenticate", json=body, headers=alice)
    assert problem(refused) == (401, "invalid_credentials")
    unknown = {**body, "credential": {**credential, "id": "AA", "rawId": "AA"}}
    refused = client.post("/me/reauthenticate", json=unknown, headers=alice)
    assert problem(refused) == (401, "unknown_passkey")
    assert reauthenticate(client, alice, asked, device).status_code == 200


def test_the_user_handle_may_be_missing_in_a_session(
    client: httpx.Client, alice: Headers, device: Authenticator
) -> None:
    asked = reauthentication_options(client, alice)
    credential = device.get(asked["options"])
    credential["response"]["userHandle"] = encoded(bytes(32))
    body = answer(asked, credential, method="passkey")
    refused = client.post("/me/reauthenticate", json=body, headers=alice)
    assert problem(refused) == (401, "invalid_credentials")
    del credential["response"]["userHandle"]
    assert client.post("/me/reauthenticate", json=body, headers=alice).status_code == 200


def test_a_refused_reauthentication_leaves_the_session_as_it_was(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator
) -> None:
    lapse(service)
    liar = browser(service, flags=1, residents=device.residents)
    refused = reauthenticate(client, alice, reauthentication_options(client, alice), liar)
    assert problem(refused) == (401, "invalid_credentials")
    assert is_live(client, alice)
    assert client.post("/me/passkeys/options", headers=alice).status_code == 401


def test_a_reauthentication_needs_what_a_passkey_has_answered(
    client: httpx.Client, alice: Headers, device: Authenticator
) -> None:
    body: dict[str, Any] = {"method": "passkey"}
    refused = client.post("/me/reauthenticate", json=body, headers=alice)
    assert codes(refused) == {"credential": "required", "challenge_token": "required"}


# Counts and flags that move.


def counts(service: Service) -> list[int]:
    return [count(service, f"passkey WHERE sign_count = {each}") for each in (5, 3, 0)]


@pytest.mark.parametrize("sent", [3, 0, 5])
def test_a_count_that_goes_back_is_told_and_the_higher_one_kept(
    service: Service, client: httpx.Client, alice: Headers, sent: int
) -> None:
    device = browser(service, sign_count=5)
    add_passkey(client, alice, device)
    device.sign_count = sent
    assert log_in_by_passkey(client, device).status_code == 200
    assert service.logged().count("passkey_count_went_back") == 1
    assert complete(client, second_factor(client), device).status_code == 200
    assert service.logged().count("passkey_count_went_back") == 2
    session = opened(log_in_by_passkey(client, device))
    asked = reauthentication_options(client, session)
    assert reauthenticate(client, session, asked, device).status_code == 200
    assert service.logged().count("passkey_count_went_back") == 4
    assert counts(service) == [1, 0, 0]


@pytest.mark.parametrize(("first", "then"), [(0, 0), (0, 1), (5, 2**32 - 1)])
def test_a_count_that_rises_or_is_none_is_kept(
    service: Service, client: httpx.Client, alice: Headers, first: int, then: int
) -> None:
    device = browser(service, sign_count=first)
    add_passkey(client, alice, device)
    device.sign_count = then
    assert log_in_by_passkey(client, device).status_code == 200
    assert "passkey_count_went_back" not in service.logged()
    assert count(service, f"passkey WHERE sign_count = {then}") == 1


@pytest.mark.parametrize(("first", "then"), [(0x05, 0x0D), (0x0D, 0x05), (0x0D, 0x1D)])
def test_backup_flags_that_change_lock_nobody_out(
    service: Service, client: httpx.Client, alice: Headers, first: int, then: int
) -> None:
    device = browser(service, flags=first)
    add_passkey(client, alice, device)
    device.flags = then
    session = opened(log_in_by_passkey(client, device))
    (shown,) = client.get("/me/passkeys", headers=session).json()["passkeys"]
    assert shown["backed_up"] is bool(then & 0x10)


def test_a_backup_of_what_cannot_be_backed_up_is_refused(
    service: Service, client: httpx.Client, device: Authenticator
) -> None:
    device.flags = 0x15
    assert problem(log_in_by_passkey(client, device)) == (401, "invalid_credentials")
