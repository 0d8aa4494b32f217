"""Requests of a session that ends meanwhile: they change nothing."""

from __future__ import annotations

import httpx
import pytest

from tests.authenticator import Authenticator
from tests.databases import result_during
from tests.factors.passkeys import (
    Asked,
    Headers,
    add_passkey,
    answer,
    browser,
    count,
    new_user,
    problem,
    reauthentication_options,
    registration_options,
)
from tests.services import Service

# As what ends all sessions of a user does.
END_ALL = 'SELECT FROM "user" FOR UPDATE; DELETE FROM session'
# As a log-out does, which does not wait for other changes of the user.
LOG_OUT = "DELETE FROM session"

REQUESTS = ["options", "addition", "name", "removal", "password", "reauthentication"]


@pytest.fixture
def alice(client: httpx.Client) -> Headers:
    return new_user(client)


@pytest.fixture
def device(service: Service) -> Authenticator:
    return browser(service)


def registration(service: Service, asked: Asked) -> dict[str, object]:
    return answer(asked, browser(service).create(asked["options"]))


@pytest.mark.parametrize("request_of", REQUESTS)
def test_a_session_that_ends_with_others_changes_nothing(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator, request_of: str
) -> None:
    passkey_id = add_passkey(client, alice, device)["passkey"]["id"]
    add_passkey(client, alice, browser(service))
    addition = registration(service, registration_options(client, alice))
    asked = reauthentication_options(client, alice)
    proof = answer(asked, device.get(asked["options"]), method="passkey")
    path = f"/me/passkeys/{passkey_id}"
    requests: dict[str, tuple[str, str, object]] = {
        "options": ("POST", "/me/passkeys/options", None),
        "addition": ("POST", "/me/passkeys", addition),
        "name": ("PATCH", path, {"name": "Other"}),
        "removal": ("DELETE", path, None),
        "password": ("DELETE", "/me/password", None),
        "reauthentication": ("POST", "/me/reauthenticate", proof),
    }
    method, url, body = requests[request_of]

    def send() -> httpx.Response:
        return client.request(method, url, json=body, headers=alice)

    assert problem(result_during(service.database_url, END_ALL, send)) == (401, "not_authenticated")
    assert count(service, "passkey WHERE name = 'Passkey' AND last_used_at IS NULL") == 2
    assert count(service, "key WHERE password_hash IS NOT NULL") == 1
    assert count(service, "claimed_nonce") == 2


@pytest.mark.parametrize("is_first", [True, False])
def test_a_log_out_while_a_passkey_is_added_comes_first(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator, *, is_first: bool
) -> None:
    if not is_first:
        add_passkey(client, alice, device)
    body = registration(service, registration_options(client, alice))
    before = count(service, "passkey")

    def send() -> httpx.Response:
        return client.post("/me/passkeys", json=body, headers=alice)

    assert problem(result_during(service.database_url, LOG_OUT, send)) == (401, "not_authenticated")
    assert count(service, "passkey") == before
    assert count(service, "recovery_code") == 10 * before
