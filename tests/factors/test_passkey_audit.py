"""The audit trail of passkeys."""

from __future__ import annotations

import httpx
import pytest

from service.auth.audit import Event
from tests.audit_trail import events
from tests.authenticator import UP, Authenticator
from tests.factors.passkeys import (
    Headers,
    add_passkey,
    browser,
    complete,
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
from tests.services import Service


@pytest.fixture
def service(services: ServicePool) -> Service:
    return services.service(
        {
            "OSTIARY_LOG_FORMAT": "json",
            "OSTIARY_LOG_IN_FAILURES_PER_ADDRESS": "3/15m",
        }
    )


@pytest.fixture
def alice(client: httpx.Client) -> Headers:
    return new_user(client)


@pytest.fixture
def device(service: Service, client: httpx.Client, alice: Headers) -> Authenticator:
    device = browser(service, sign_count=5)
    add_passkey(client, alice, device)
    return device


@pytest.fixture
def ids(client: httpx.Client, alice: Headers) -> dict[str, str]:
    """Return the ids of the user and of their session."""
    me = client.get("/me", headers=alice).json()
    return {"user_id": me["user"]["id"], "session_id": me["session"]["id"]}


def test_additions_are_recorded_with_the_sessions_that_they_ended(
    service: Service, client: httpx.Client, alice: Headers, ids: dict[str, str]
) -> None:
    password_log_in(client)
    for ended in (1, 0):
        asked = registration_options(client, alice)
        added = register(client, alice, asked, browser(service))
        assert events(service, added) == [
            {"event": Event.FACTOR_ADDED, **ids, "factor": "passkey", "ended": ended}
        ]


def test_a_refused_addition_is_not_recorded_as_one(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    asked = registration_options(client, alice)
    refused = register(client, alice, asked, browser(service, flags=UP))
    assert events(service, refused) == []
    taken = browser(service, make_credential_id=lambda: b"the same")
    add_passkey(client, new_user(client, "Bobby"), taken)
    taken.residents.clear()
    refused = register(client, alice, asked, taken)
    assert problem(refused) == (409, "already_set_up")
    assert events(service, refused) == []


def test_removals_are_recorded_with_the_sessions_that_they_ended(
    service: Service,
    client: httpx.Client,
    alice: Headers,
    device: Authenticator,
    ids: dict[str, str],
) -> None:
    log_in_by_passkey(client, device)
    (passkey,) = client.get("/me/passkeys", headers=alice).json()["passkeys"]
    path = f"/me/passkeys/{passkey['id']}"
    renamed = client.patch(path, json={"name": "Phone"}, headers=alice)
    assert events(service, renamed) == []
    removed = client.delete(path, headers=alice)
    assert events(service, removed) == [
        {"event": Event.FACTOR_REMOVED, **ids, "factor": "passkey", "ended": 1}
    ]
    assert events(service, client.delete(path, headers=alice)) == []


def test_the_removal_of_the_password_is_recorded(
    service: Service,
    client: httpx.Client,
    alice: Headers,
    device: Authenticator,
    ids: dict[str, str],
) -> None:
    assert events(service, client.delete("/me/password", headers=alice)) == []
    add_passkey(client, alice, browser(service))
    complete(client, second_factor(client), device)
    removed = client.delete("/me/password", headers=alice)
    assert events(service, removed) == [{"event": Event.PASSWORD_REMOVED, **ids, "ended": 1}]
    assert events(service, client.delete("/me/password", headers=alice)) == []


def test_log_ins_are_recorded(
    service: Service,
    client: httpx.Client,
    alice: Headers,
    device: Authenticator,
    ids: dict[str, str],
) -> None:
    device.sign_count = 6
    done = log_in_by_passkey(client, device)
    session = done.json()["session"]
    of_user = {"user_id": ids["user_id"], "session_id": session["id"]}
    assert events(service, done) == [
        {"event": Event.LOGGED_IN, **of_user, "known_device": False},
    ]
    device.sign_count = 7
    again = log_in_by_passkey(client, device, device_token=session["device_token"])
    assert events(service, again)[0]["known_device"] is True


def test_refused_log_ins_are_recorded_and_throttled(
    service: Service, client: httpx.Client, device: Authenticator
) -> None:
    """Nothing tells for sure whose they were."""
    nobody = {"user_id": None, "session_id": None}
    stranger = browser(service)
    stranger.create(registration_options(client, new_user(client, "Bobby"))["options"])
    liar = browser(service, residents=device.residents, flags=UP)
    for each in (stranger, liar, liar):
        refused = log_in_by_passkey(client, each)
        assert refused.status_code == 401
        assert events(service, refused) == [{"event": Event.LOG_IN_FAILED, **nobody}]
    limited = log_in_by_passkey(client, device)
    assert limited.status_code == 429
    assert events(service, limited) == [{"event": Event.LOG_IN_THROTTLED, **nobody}]


def test_a_dead_challenge_is_recorded_whether_it_was_ever_good(
    service: Service, client: httpx.Client, device: Authenticator
) -> None:
    asked = log_in_options(client)
    body = {
        "challenge_token": asked["challenge_token"],
        "credential": device.get(asked["options"]),
        "transport": "bearer",
    }
    assert client.post("/login/passkey", json=body).status_code == 200
    replayed = client.post("/login/passkey", json=body)
    assert problem(replayed) == (401, "invalid_challenge")
    assert [each["event"] for each in events(service, replayed)] == [Event.LOG_IN_FAILED]


def test_second_factors_are_recorded(
    service: Service,
    client: httpx.Client,
    alice: Headers,
    device: Authenticator,
    ids: dict[str, str],
) -> None:
    device.sign_count = 6
    begun = password_log_in(client)
    of_user = {"user_id": ids["user_id"], "session_id": None}
    assert events(service, begun) == [{"event": Event.SECOND_FACTOR_REQUIRED, **of_user}]
    asked = second_factor(client)
    liar = browser(service, residents=device.residents, flags=UP)
    refused = complete(client, asked, liar)
    assert events(service, refused) == [{"event": Event.SECOND_FACTOR_FAILED, **of_user}]
    done = complete(client, asked, device)
    of_user["session_id"] = done.json()["session"]["id"]
    assert events(service, done) == [
        {"event": Event.LOGGED_IN, **of_user, "known_device": False},
    ]


def test_reauthentications_are_recorded(
    service: Service,
    client: httpx.Client,
    alice: Headers,
    device: Authenticator,
    ids: dict[str, str],
) -> None:
    device.sign_count = 6
    liar = browser(service, residents=device.residents, flags=UP)
    asked = reauthentication_options(client, alice)
    refused = reauthenticate(client, alice, asked, liar)
    assert events(service, refused) == [{"event": Event.SECOND_FACTOR_FAILED, **ids}]
    done = reauthenticate(client, alice, asked, device)
    assert events(service, done) == [{"event": Event.REAUTHENTICATED, **ids}]


def test_a_count_that_went_back_is_recorded_with_the_session(
    service: Service,
    client: httpx.Client,
    alice: Headers,
    device: Authenticator,
    ids: dict[str, str],
) -> None:
    """Once for each time, and only if the passkey was accepted."""
    went_back = {"event": Event.PASSKEY_COUNT_WENT_BACK, "user_id": ids["user_id"]}
    device.sign_count = 3
    done = log_in_by_passkey(client, device)
    assert [each for each in events(service, done) if each.items() >= went_back.items()]
    asked = log_in_options(client)
    body = {"challenge_token": asked["challenge_token"], "credential": device.get(asked["options"])}
    assert client.post("/login/passkey", json=body).status_code == 200
    replayed = client.post("/login/passkey", json=body)
    assert [each["event"] for each in events(service, replayed)] == [Event.LOG_IN_FAILED]
    session = opened(done)
    asked = reauthentication_options(client, session)
    again = reauthenticate(client, session, asked, device)
    assert Event.PASSKEY_COUNT_WENT_BACK in [each["event"] for each in events(service, again)]


def test_no_secret_of_a_passkey_is_logged(
    service: Service, client: httpx.Client, alice: Headers, device: Authenticator
) -> None:
    asked = log_in_options(client)
    credential = device.get(asked["options"])
    body = {"challenge_token": asked["challenge_token"], "credential": credential}
    assert client.post("/login/passkey", json=body).status_code == 200
    liar = browser(service, residents=device.residents, origin="https://evil.example")
    other = log_in_options(client)
    body = {"challenge_token": other["challenge_token"], "credential": liar.get(other["options"])}
    assert client.post("/login/passkey", json=body).status_code == 401
    logged = service.logged()
    assert "Unexpected client data origin" in logged
    for each in (asked, other):
        assert each["challenge_token"] not in logged
        assert each["options"]["challenge"] not in logged
    assert credential["response"]["signature"] not in logged
    assert credential["response"]["userHandle"] not in logged
