"""Log-in by passkey: no name is typed, and nothing else is asked for."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.authenticator import UP, UV, encoded
from tests.factories import COOKIE, bearer, codes, cookie
from tests.factors.passkeys import (
    Headers,
    add_passkey,
    answer,
    browser,
    count,
    is_live,
    log_in_answer,
    log_in_by_passkey,
    log_in_options,
    new_user,
    opened,
    password_log_in,
    problem,
    registration_options,
)
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, Service


@pytest.fixture
def alice(client: httpx.Client) -> Headers:
    return new_user(client)


def post(client: httpx.Client, body: dict[str, Any], **headers: str) -> httpx.Response:
    return client.post("/login/passkey", json=body, headers=headers)


def with_response(body: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Return a body whose credential has other members in its ``response``."""
    credential = body["credential"]
    response = {**credential["response"], **members}
    return {**body, "credential": {**credential, "response": response}}


def test_a_passkey_logs_in_without_a_name(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    device = browser(service)
    add_passkey(client, alice, device)
    asked = log_in_options(client)
    assert asked["options"]["allowCredentials"] == []
    response = post(client, answer(asked, device.get(asked["options"]), transport="bearer"))
    assert response.status_code == 200
    body = response.json()
    assert body["user"]["username"] == "Alice"
    assert [each["method"] for each in body["session"]["methods"]] == ["passkey"]
    assert body["session"]["fresh"] is True
    # No second factor is asked for, and step-up is given.
    session = opened(response)
    assert client.get("/me", headers=session).json()["user"] == body["user"]
    assert registration_options(client, session)["options"]["user"]["name"] == "Alice"
    listed = client.get("/sessions", headers=session).json()["sessions"]
    (current,) = [each for each in listed if each["current"]]
    assert [each["method"] for each in current["methods"]] == ["passkey"]


def test_of_several_users_the_passkey_tells_who_logs_in(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    devices = {"Alice": browser(service), "Bobby": browser(service)}
    add_passkey(client, alice, devices["Alice"])
    add_passkey(client, new_user(client, "Bobby"), devices["Bobby"])
    for name, device in devices.items():
        assert log_in_by_passkey(client, device).json()["user"]["username"] == name


@pytest.mark.parametrize("transport", [None, "cookie", "bearer"])
def test_the_token_goes_out_as_it_is_asked_for(
    service: Service, client: httpx.Client, alice: Headers, transport: str | None
) -> None:
    device = browser(service)
    add_passkey(client, alice, device)
    asked = log_in_options(client)
    fields = {} if transport is None else {"transport": transport}
    response = post(client, answer(asked, device.get(asked["options"]), **fields))
    assert response.status_code == 200
    has_token = "token" in response.json()["session"]
    assert (has_token, COOKIE in response.cookies) == (
        (True, False) if transport == "bearer" else (False, True)
    )


def test_the_session_that_is_carried_ends(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    device = browser(service)
    add_passkey(client, alice, device)
    bobby = new_user(client, "Bobby")
    token = bobby["Authorization"].removeprefix("Bearer ")
    refused = post(client, with_response(log_in_answer(client, device), signature="AA"), **bobby)
    assert problem(refused) == (401, "invalid_credentials")
    assert is_live(client, bobby)
    session = opened(post(client, log_in_answer(client, device), **cookie(token)))
    assert not is_live(client, bobby)
    assert client.get("/me", headers=session).json()["user"]["username"] == "Alice"
    again = opened(post(client, log_in_answer(client, device), **session))
    assert not is_live(client, session)
    assert is_live(client, again)


def test_the_device_has_a_name_and_is_known_from_then_on(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    device = browser(service)
    add_passkey(client, alice, device)
    first = log_in_by_passkey(client, device, device_name="Phone").json()["session"]
    listed = client.get("/sessions", headers=bearer(first["token"])).json()["sessions"]
    (current,) = [each for each in listed if each["current"]]
    assert current["device_name"] == "Phone"
    assert "known_device=False" in service.logged()
    service.begin_test()
    again = log_in_by_passkey(client, device, device_token=first["device_token"])
    assert again.status_code == 200
    assert "known_device=True" in service.logged()


def test_a_known_device_keeps_its_token(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    device = browser(service)
    add_passkey(client, alice, device)
    first = log_in_by_passkey(client, device).json()["session"]
    before = count(service, "device")
    again = log_in_by_passkey(client, device, device_token=first["device_token"]).json()["session"]
    assert again["device_token"] == first["device_token"]
    assert count(service, "device") == before


@pytest.mark.parametrize("handle", [None, "", "AA", "é", 5, [], {}, encoded(bytes(32))])
def test_the_user_handle_must_be_that_of_the_user(
    service: Service, client: httpx.Client, alice: Headers, handle: Any
) -> None:
    device = browser(service)
    add_passkey(client, alice, device)
    body = log_in_answer(client, device)
    refused = post(client, with_response(body, userHandle=handle))
    assert problem(refused) == (401, "invalid_credentials")
    del body["credential"]["response"]["userHandle"]
    assert problem(post(client, body)) == (401, "invalid_credentials")


def test_the_user_handle_of_another_user_is_refused(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    device, other = browser(service), browser(service)
    add_passkey(client, alice, device)
    add_passkey(client, new_user(client, "Bobby"), other)
    (resident,) = device.residents.values()
    (of_bobby,) = other.residents.values()
    resident.user_handle = of_bobby.user_handle
    assert problem(log_in_by_passkey(client, device)) == (401, "invalid_credentials")


def test_only_a_passkey_that_nobody_has_is_unknown(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    """For an application tells the authenticator to delete what is unknown."""
    device, deleted = browser(service), browser(service)
    add_passkey(client, alice, device)
    removed = add_passkey(client, alice, deleted)["passkey"]["id"]
    client.delete(f"/me/passkeys/{removed}", headers=alice).raise_for_status()
    assert problem(log_in_by_passkey(client, deleted)) == (401, "unknown_passkey")
    good = log_in_answer(client, device)
    lies: list[dict[str, Any]] = [
        {"flags": UP},
        {"flags": UV},
        {"origin": "https://evil.example"},
        {"origin": f"{device.origin}/"},
        {"rp_id": "evil.example"},
        {"client_data": {"type": "webauthn.create"}},
        {"client_data": {"crossOrigin": True}},
        {"client_data": {"topOrigin": "https://evil.example"}},
    ]
    for lie in lies:
        liar = browser(service, residents=device.residents, **lie)
        assert problem(log_in_by_passkey(client, liar)) == (401, "invalid_credentials"), lie
    for members in ({"signature": "AA"}, {"authenticatorData": "AA"}, {"clientDataJSON": "e30"}):
        assert problem(post(client, with_response(good, **members))) == (
            401,
            "invalid_credentials",
        )
    token = good["challenge_token"]
    for text in ("", "x", token[:-1], f"{token}=", good["credential"]["id"]):
        refused = post(client, {**good, "challenge_token": text})
        assert problem(refused) == (401, "invalid_challenge")
    assert post(client, good).status_code == 200


def test_a_refused_log_in_changes_nothing(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    device = browser(service, sign_count=7)
    add_passkey(client, alice, device)
    before = count(service, "session")
    liar = browser(service, residents=device.residents, flags=UP, sign_count=9)
    log_in_by_passkey(client, liar)
    assert count(service, "session") == before
    assert count(service, "claimed_nonce") == 1  # of the registration
    assert count(service, "passkey WHERE sign_count = 7 AND last_used_at IS NULL") == 1


def test_options_leave_no_row(service: Service, client: httpx.Client) -> None:
    tables = [
        *("user", "session", "challenge", "claimed_nonce", "rate_limit", "mail", "device"),
        *("passkey", "key", "reset_request", "sealed_secret"),
    ]
    tokens = {log_in_options(client)["challenge_token"] for _ in range(200)}
    assert len(tokens) == 200
    assert {each: count(service, f'"{each}"') for each in tables} == dict.fromkeys(tables, 0)


def test_failed_log_ins_are_limited_by_address(services: ServicePool) -> None:
    service = services.service({"OSTIARY_LOG_IN_FAILURES_PER_ADDRESS": "3/15m"})
    with service.client() as client:
        alice, device = new_user(client), browser(service)
        add_passkey(client, alice, device)
        stranger = browser(service)
        stranger.create(registration_options(client, new_user(client, "Bobby"))["options"])
        # What succeeds does not count.
        for _ in range(5):
            assert log_in_by_passkey(client, device).status_code == 200
        good = log_in_answer(client, device)
        bad = with_response(good, signature="AA")
        assert problem(post(client, bad)) == (401, "invalid_credentials")
        assert problem(log_in_by_passkey(client, stranger)) == (401, "unknown_passkey")
        assert codes(post(client, {**good, "credential": {}})) == {"credential": "not_allowed"}
        limited = post(client, good)
        assert problem(limited) == (429, "rate_limited")
        assert int(limited.headers["retry-after"]) >= 1
        # Passwords have a limit of their own.
        assert problem(password_log_in(client)) == (401, "second_factor_required")


def test_a_page_of_another_site_cannot_log_anybody_in(client: httpx.Client) -> None:
    foreign = {"Origin": "https://evil.example"}
    for path in ("/login/passkey/options", "/login/passkey"):
        response = client.post(path, json={}, headers=foreign)
        assert problem(response) == (403, "origin_rejected")


@pytest.mark.parametrize("origin", [f"android:apk-key-hash:{'A' * 43}", "https://app.example.com"])
def test_an_application_has_passkeys_by_its_setting(services: ServicePool, origin: str) -> None:
    environment = {
        "OSTIARY_PASSKEY_RP_ID": "example.com",
        "OSTIARY_PASSKEY_ORIGINS": origin,
        **NO_LIMITS,
    }
    service = services.service(environment)
    with service.client() as client:
        device = browser(service, origin=origin)
        add_passkey(client, new_user(client), device)
        assert log_in_by_passkey(client, device).status_code == 200
        for foreign in (f"android:apk-key-hash:{'B' * 42}A", f"{origin}=", "https://example.com"):
            liar = browser(service, origin=foreign, residents=device.residents)
            assert problem(log_in_by_passkey(client, liar)) == (401, "invalid_credentials")
