"""Whatever is sent as a credential is verified, or refused: nothing is an internal error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.authenticator import Authenticator
from tests.factories import JSON_VALUES, codes
from tests.factors.passkeys import (
    Headers,
    add_passkey,
    answer,
    browser,
    log_in_options,
    new_user,
    opened,
    problem,
    reauthentication_options,
    registration_options,
    second_factor,
)
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, Service

# The client and the user are the same for all examples: none changes them.
SHARED = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MEMBERS = ("id", "rawId", "type", "response", "clientExtensionResults", "authenticatorAttachment")
INNER = (
    *("clientDataJSON", "authenticatorData", "signature", "userHandle"),
    *("attestationObject", "transports", "publicKey", "publicKeyAlgorithm"),
)
TEXT = st.text(alphabet="ABCDEFabcdef0123456789-_", max_size=80)
ANY = JSON_VALUES | TEXT
CREDENTIALS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(MEMBERS, ANY),
        "type": st.just("public-key") | ANY,
        "response": st.fixed_dictionaries({}, optional=dict.fromkeys(INNER, ANY)) | ANY,
    },
)


@pytest.fixture
def service(services: ServicePool) -> Service:
    return services.service(NO_LIMITS)


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


@pytest.fixture
def alice(client: httpx.Client) -> Headers:
    return new_user(client)


@pytest.fixture
def device(service: Service, client: httpx.Client, alice: Headers) -> Authenticator:
    device = browser(service)
    add_passkey(client, alice, device)
    return device


@pytest.fixture
def doors(
    client: httpx.Client, alice: Headers, device: Authenticator
) -> list[tuple[str, dict[str, Any], Headers]]:
    """Return the paths that take a credential, what else they take, and the session."""
    token = "challenge_token"
    return [
        ("/login/passkey", {token: log_in_options(client)[token]}, {}),
        ("/me/passkeys", {token: registration_options(client, alice)[token]}, alice),
        (
            "/me/reauthenticate",
            {token: reauthentication_options(client, alice)[token], "method": "passkey"},
            alice,
        ),
        ("/login/second-factor", {token: second_factor(client)[token], "method": "passkey"}, {}),
    ]


REFUSALS = {
    *((400, "validation_failed"), (400, "malformed_json"), (413, "payload_too_large")),
    *((401, "invalid_credentials"), (401, "unknown_passkey"), (401, "invalid_challenge")),
}


@SHARED
@given(credential=CREDENTIALS | ANY)
def test_any_json_is_refused(
    client: httpx.Client, doors: list[tuple[str, dict[str, Any], Headers]], credential: Any
) -> None:
    for path, fields, headers in doors:
        response = client.post(path, json={**fields, "credential": credential}, headers=headers)
        assert problem(response) in REFUSALS, (path, response.text)


@SHARED
@given(data=st.data())
def test_any_change_of_a_good_answer_is_refused(
    client: httpx.Client, device: Authenticator, data: st.DataObject
) -> None:
    """But of what is not read."""
    asked = log_in_options(client)
    credential = device.get(asked["options"])
    name = data.draw(st.sampled_from(["id", "type", *INNER[:4]]))
    value = data.draw(ANY)
    target = credential["response"] if name in INNER else credential
    if target[name] == value:
        return
    target[name] = value
    response = client.post("/login/passkey", json=answer(asked, credential))
    assert problem(response) in REFUSALS, response.text


@SHARED
@given(token=st.text() | TEXT)
def test_any_other_token_is_no_challenge(
    client: httpx.Client, device: Authenticator, token: str
) -> None:
    asked = log_in_options(client)
    body = {**answer(asked, device.get(asked["options"])), "challenge_token": token}
    assert problem(client.post("/login/passkey", json=body)) == (401, "invalid_challenge")


MORE = {"publicKeyAlgorithm": -7, "publicKey": 5, "later": [{"of": None}], "\N{SNOWMAN}": {}}


def with_more(credential: dict[str, Any]) -> dict[str, Any]:
    """Return a credential with members that nobody has heard of."""
    return {**MORE, **credential, "response": {**MORE, **credential["response"]}}


def test_unknown_members_of_a_credential_are_ignored(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator
) -> None:
    """Password managers send some, and browsers will send new ones."""
    asked = log_in_options(client)
    body = answer(asked, with_more(device.get(asked["options"])))
    assert client.post("/login/passkey", json=body).status_code == 200
    asked = second_factor(client)
    body = answer(asked, with_more(device.get(asked["options"])), method="passkey")
    assert client.post("/login/second-factor", json=body).status_code == 200
    asked = reauthentication_options(client, alice)
    body = answer(asked, with_more(device.get(asked["options"])), method="passkey")
    alice = opened(client.post("/me/reauthenticate", json=body, headers=alice))
    asked = registration_options(client, alice)
    body = answer(asked, with_more(browser(service).create(asked["options"])))
    assert client.post("/me/passkeys", json=body, headers=alice).status_code == 201


def test_unknown_members_beside_a_credential_are_refused(
    client: httpx.Client, doors: list[tuple[str, dict[str, Any], Headers]]
) -> None:
    for path, fields, headers in doors:
        body = {**fields, "credential": {}, "later": 1}
        refused = client.post(path, json=body, headers=headers)
        assert refused.status_code == 400
        assert codes(refused)["later"] == "unknown_field"


@pytest.mark.parametrize("credential", [None, 5, "text", [], True])
def test_a_credential_is_an_object(
    client: httpx.Client, doors: list[tuple[str, dict[str, Any], Headers]], credential: Any
) -> None:
    for path, fields, headers in doors:
        refused = client.post(path, json={**fields, "credential": credential}, headers=headers)
        assert refused.status_code == 400
        expected = "not_allowed" if isinstance(credential, str) else "wrong_type"
        assert codes(refused) == {"credential": expected}


@pytest.mark.parametrize("depth", [100, 900, 990, 1_000, 7_000])
@pytest.mark.parametrize("inside", ["credential", "response"])
def test_a_credential_that_nests_deeply_is_refused(
    client: httpx.Client,
    doors: list[tuple[str, dict[str, Any], Headers]],
    depth: int,
    inside: str,
) -> None:
    nested = "[" * depth + "]" * depth
    credential = f'{{"id": "AA", "rawId": "AA", "type": "public-key", "response": {nested}}}'
    if inside == "credential":
        credential = f'{{"id": {nested}}}'
    for path, fields, headers in doors:
        body = json.dumps(fields)[:-1] + f', "credential": {credential}}}'
        json_type = {"Content-Type": "application/json"}
        response = client.post(path, content=body, headers=headers | json_type)
        assert problem(response) in REFUSALS, response.text


def test_a_credential_is_required(
    client: httpx.Client, doors: list[tuple[str, dict[str, Any], Headers]]
) -> None:
    for path, fields, headers in doors:
        refused = client.post(path, json=fields, headers=headers)
        assert (refused.status_code, codes(refused)) == (400, {"credential": "required"})


def test_requests_without_a_body_need_none(client: httpx.Client, alice: Headers) -> None:
    for path in ("/login/passkey/options", "/me/passkeys/options"):
        assert client.post(path, json={}, headers=alice).status_code == 200
        assert client.post(path, headers=alice).status_code == 200
