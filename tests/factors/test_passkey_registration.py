"""Passkeys are added, shown and named."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.authenticator import decoded
from tests.databases import execute, fetch_value
from tests.factories import codes
from tests.factors.passkeys import (
    UNKNOWN_ID,
    Headers,
    add_passkey,
    answer,
    browser,
    is_live,
    log_in_by_passkey,
    new_user,
    opened,
    password_log_in,
    problem,
    register,
    registration_options,
    second_factor,
)
from tests.services import Service

ADDRESS_INSTEAD = """
UPDATE key SET provider = 'email', name = 'alice@example.org', display_name = 'Alice@example.org'
"""


@pytest.fixture
def alice(client: httpx.Client) -> Headers:
    return new_user(client)


def listed(client: httpx.Client, session: Headers) -> dict[str, Any]:
    response = client.get("/me/passkeys", headers=session)
    assert response.status_code == 200
    body: dict[str, Any] = response.json()
    return body


# Options.


def test_the_user_handle_is_random_and_stays(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    handles = [registration_options(client, alice)["options"]["user"]["id"] for _ in range(2)]
    user_id = client.get("/me", headers=alice).json()["user"]["id"]
    assert handles[0] == handles[1]
    assert 32 <= len(decoded(handles[0])) <= 64
    assert user_id.replace("-", "") not in decoded(handles[0]).hex()
    device = browser(service)
    added = add_passkey(client, alice, device)
    client.delete(f"/me/passkeys/{added['passkey']['id']}", headers=alice)
    assert registration_options(client, alice)["options"]["user"]["id"] == handles[0]
    other = registration_options(client, new_user(client, "Bobby"))
    assert other["options"]["user"]["id"] != handles[0]


def test_the_options_have_the_user_name_also_after_it_changed(
    client: httpx.Client, alice: Headers
) -> None:
    user = registration_options(client, alice)["options"]["user"]
    assert (user["name"], user["displayName"]) == ("Alice", "Alice")
    client.put("/me/username", json={"username": "Alicia"}, headers=alice).raise_for_status()
    user = registration_options(client, alice)["options"]["user"]
    assert (user["name"], user["displayName"]) == ("Alicia", "Alicia")


def test_the_options_have_the_address_of_who_has_no_user_name(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    execute(service.database_url, ADDRESS_INSTEAD)
    user = registration_options(client, alice)["options"]["user"]
    assert (user["name"], user["displayName"]) == ("Alice@example.org", "Alice@example.org")


def test_the_options_have_the_id_of_who_has_neither_user_name_nor_address(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    """A user who signed up with an account at a provider may have no name at all."""
    execute(service.database_url, "DELETE FROM key")
    user_id = client.get("/me", headers=alice).json()["user"]["id"]
    user = registration_options(client, alice)["options"]["user"]
    assert (user["name"], user["displayName"]) == (user_id, user_id)


def test_the_options_exclude_all_devices_that_have_a_passkey_already(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    """Also with transports that nobody knows yet."""
    assert registration_options(client, alice)["options"]["excludeCredentials"] == []
    first, second = browser(service), browser(service)
    asked = registration_options(client, alice)
    credential = first.create(asked["options"])
    credential["response"]["transports"] = ["telepathy", "internal"]
    body = answer(asked, credential)
    assert client.post("/me/passkeys", json=body, headers=alice).status_code == 201
    add_passkey(client, alice, second)
    excluded = registration_options(client, alice)["options"]["excludeCredentials"]
    ids = listed(client, alice)["all_accepted_credential_ids"]
    assert excluded == [
        {"type": "public-key", "id": ids[0], "transports": ["telepathy", "internal"]},
        {"type": "public-key", "id": ids[1], "transports": ["internal", "hybrid"]},
    ]


def test_the_options_of_another_user_exclude_nothing(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    add_passkey(client, alice, browser(service))
    bob = new_user(client, "Bobby")
    assert registration_options(client, bob)["options"]["excludeCredentials"] == []


# Factors.


def test_the_first_factor_ends_all_other_sessions_and_brings_recovery_codes(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    other = opened(password_log_in(client))
    added = add_passkey(client, alice, browser(service))
    assert len(set(added["recovery_codes"])) == 10
    assert is_live(client, alice)
    assert not is_live(client, other)
    me = client.get("/me", headers=alice).json()
    assert [each["method"] for each in me["session"]["methods"]] == ["password", "passkey"]
    factors = client.get("/me/factors", headers=alice).json()
    assert factors["recovery_codes_left"] == 10
    assert factors["methods"] == ["passkey", "recovery_code"]
    assert factors["passkeys"] == [added["passkey"]]
    assert "totp" not in factors


def test_a_second_passkey_ends_no_session_and_brings_no_codes(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    first, second = browser(service), browser(service)
    add_passkey(client, alice, first)
    other = opened(log_in_by_passkey(client, first))
    added = add_passkey(client, alice, second)
    assert "recovery_codes" not in added
    assert is_live(client, alice)
    assert is_live(client, other)
    assert client.get("/me/factors", headers=alice).json()["recovery_codes_left"] == 10
    # Neither destroys the other.
    for device in (first, second):
        assert log_in_by_passkey(client, device).status_code == 200


def test_from_the_first_passkey_on_the_password_alone_opens_nothing(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    add_passkey(client, alice, browser(service))
    response = password_log_in(client)
    assert problem(response) == (401, "second_factor_required")
    assert response.json()["methods"] == ["passkey", "recovery_code"]
    assert "set-cookie" not in response.headers


def test_the_security_version_moves(service: Service, client: httpx.Client, alice: Headers) -> None:
    read = 'SELECT security_version FROM "user"'
    before = fetch_value(service.database_url, read)
    add_passkey(client, alice, browser(service))
    assert fetch_value(service.database_url, read) == before + 1


def test_a_passkey_of_another_user_is_not_added_again(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    """Whatever an authenticator claims: who logs in by it must be clear."""
    device = browser(service, make_credential_id=lambda: b"the same")
    add_passkey(client, alice, device)
    bob = new_user(client, "Bobby")
    device.residents.clear()
    refused = register(client, bob, registration_options(client, bob), device)
    assert problem(refused) == (409, "already_set_up")
    assert client.get("/me/factors", headers=bob).json()["methods"] == ["password"]
    assert password_log_in(client, "Bobby").status_code == 200


@pytest.mark.parametrize(("length", "status"), [(1, 201), (1023, 201), (1024, 400), (2500, 400)])
def test_a_credential_id_has_at_most_1023_bytes(
    service: Service, client: httpx.Client, alice: Headers, length: int, status: int
) -> None:
    device = browser(service, make_credential_id=lambda: b"x" * length)
    response = register(client, alice, registration_options(client, alice), device)
    assert response.status_code == status, response.text
    assert fetch_value(service.database_url, "SELECT count(*) FROM passkey") == (status == 201)


def test_what_was_refused_is_not_stored_and_may_be_tried_again(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    asked = registration_options(client, alice)
    for lie in ({"flags": 1}, {"origin": "https://evil.example"}, {"rp_id": "evil.example"}):
        refused = register(client, alice, asked, browser(service, **lie))
        assert (refused.status_code, codes(refused)) == (400, {"credential": "not_allowed"})
    assert listed(client, alice)["passkeys"] == []
    assert register(client, alice, asked, browser(service)).status_code == 201


# What authenticators are told.


def test_all_accepted_passkeys_are_told_after_each_change(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    assert listed(client, alice) == {
        "passkeys": [],
        "rp_id": "localhost",
        "user_handle": None,
        "all_accepted_credential_ids": [],
    }
    added = [add_passkey(client, alice, browser(service)) for _ in range(2)]
    ids = [each["passkey"]["credential_id"] for each in added]
    handle = registration_options(client, alice)["options"]["user"]["id"]
    told = {"rp_id": "localhost", "user_handle": handle}
    assert added[0].items() >= {**told, "all_accepted_credential_ids": ids[:1]}.items()
    assert added[1].items() >= {**told, "all_accepted_credential_ids": ids}.items()
    for removed in range(2):
        path = f"/me/passkeys/{added[removed]['passkey']['id']}"
        assert client.delete(path, headers=alice).status_code == 204
        assert listed(client, alice).items() >= told.items()
        assert listed(client, alice)["all_accepted_credential_ids"] == ids[removed + 1 :]


def test_a_passkey_is_listed_with_what_its_user_wants_to_know(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    device = browser(service)
    added = add_passkey(client, alice, device, name="Phone")
    (shown,) = listed(client, alice)["passkeys"]
    assert shown == added["passkey"]
    assert shown["name"] == "Phone"
    assert shown["backed_up"] is True
    assert shown["last_used_at"] is None
    add_passkey(client, alice, browser(service))
    log_in_by_passkey(client, device)
    shown, other = listed(client, alice)["passkeys"]
    assert shown["last_used_at"] > shown["created_at"]
    assert other["last_used_at"] is None
    # Neither keys nor counts are for anybody.
    assert sorted(shown) == [
        *("backed_up", "created_at", "credential_id", "id", "last_used_at", "name")
    ]


# Names.


def test_a_passkey_has_a_default_name(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    assert add_passkey(client, alice, browser(service))["passkey"]["name"] == "Passkey"


GOOD_NAMES = [
    ("Phone", "Phone"),
    (" My phone\t", "My phone"),
    ("x" * 64, "x" * 64),
    ("\N{FAMILY}" * 64, "\N{FAMILY}" * 64),
    ("내 전화기", "내 전화기"),
    ("<b>", "<b>"),
    ("Jose\N{COMBINING ACUTE ACCENT}", "Jos\N{LATIN SMALL LETTER E WITH ACUTE}"),
    # Emoji are composed by format characters.
    ("\N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}",) * 2,
]
BAD_NAMES = [
    ("", "too_short"),
    (" ", "too_short"),
    ("x" * 65, "too_long"),
    ("a\nb", "not_allowed"),
    ("a\0b", "not_allowed"),
    ("a\N{RIGHT-TO-LEFT OVERRIDE}b", "not_allowed"),
    ("\x1b[31mred", "not_allowed"),
]


@pytest.mark.parametrize(("name", "shown"), GOOD_NAMES)
def test_a_name_may_be_given_with_the_passkey_and_later(
    service: Service, client: httpx.Client, alice: Headers, name: str, shown: str
) -> None:
    added = add_passkey(client, alice, browser(service), name=name)["passkey"]
    assert added["name"] == shown
    other = add_passkey(client, alice, browser(service))["passkey"]
    path = f"/me/passkeys/{other['id']}"
    renamed = client.patch(path, json={"name": name}, headers=alice)
    assert (renamed.status_code, renamed.json()) == (200, {**other, "name": shown})
    assert [each["name"] for each in listed(client, alice)["passkeys"]] == [shown, shown]


@pytest.mark.parametrize(("name", "code"), BAD_NAMES)
def test_the_same_names_are_refused_with_the_passkey_and_later(
    service: Service, client: httpx.Client, alice: Headers, name: str, code: str
) -> None:
    asked = registration_options(client, alice)
    refused = register(client, alice, asked, browser(service), name=name)
    assert (refused.status_code, codes(refused)) == (400, {"name": code})
    added = add_passkey(client, alice, browser(service))["passkey"]
    path = f"/me/passkeys/{added['id']}"
    refused = client.patch(path, json={"name": name}, headers=alice)
    assert (refused.status_code, codes(refused)) == (400, {"name": code})
    assert listed(client, alice)["passkeys"] == [added]


def test_a_name_that_is_null_is_refused_as_in_all_requests(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    asked = registration_options(client, alice)
    refused = register(client, alice, asked, browser(service), name=None)
    assert (refused.status_code, codes(refused)) == (400, {"name": "wrong_type"})


# Passkeys of others.


def test_passkeys_of_others_are_not_found_as_unknown_ones(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    bob = new_user(client, "Bobby")
    device = browser(service)
    of_bob = add_passkey(client, bob, device, name="Bob's")["passkey"]["id"]
    add_passkey(client, alice, browser(service))

    def comparable(response: httpx.Response) -> dict[str, Any]:
        return {**response.json(), "request_id": None, "status": response.status_code}

    for method, body in (("PATCH", {"name": "Mine"}), ("DELETE", None)):
        answers = [
            comparable(client.request(method, f"/me/passkeys/{each}", json=body, headers=alice))
            for each in (of_bob, UNKNOWN_ID, "no-id", of_bob.replace("-", ""))
        ]
        assert answers == [answers[0]] * 4
        assert (answers[0]["status"], answers[0]["code"]) == (404, "not_found")
    assert [each["name"] for each in listed(client, bob)["passkeys"]] == ["Bob's"]
    assert log_in_by_passkey(client, device).status_code == 200


# Step-up.


@pytest.mark.parametrize("minutes", [9, 11])
def test_options_passkeys_names_and_removals_need_a_recent_proof(
    service: Service, client: httpx.Client, alice: Headers, minutes: int
) -> None:
    added = add_passkey(client, alice, browser(service))["passkey"]
    asked = registration_options(client, alice)
    execute(
        service.database_url,
        "UPDATE session SET authenticated_at = now() - make_interval(mins => $1)",
        minutes,
    )
    body = answer(asked, browser(service).create(asked["options"]))
    path = f"/me/passkeys/{added['id']}"
    responses = [
        client.post("/me/passkeys", json=body, headers=alice),
        client.patch(path, json={"name": "Phone"}, headers=alice),
        client.post("/me/passkeys/options", headers=alice),
        client.delete(path, headers=alice),
    ]
    if minutes == 9:
        assert [each.status_code for each in responses] == [201, 200, 200, 204]
        return
    for each in responses:
        assert problem(each) == (401, "reauthentication_required")
        assert each.json()["methods"] == ["passkey", "recovery_code"]
    assert listed(client, alice)["passkeys"] == [added]


def test_the_password_renews_no_step_up_of_a_user_with_a_passkey(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    add_passkey(client, alice, browser(service))
    execute(service.database_url, "UPDATE session SET authenticated_at = now() - interval '1h'")
    body = {"method": "password", "password": "correct horse battery staple"}
    alice = opened(client.post("/me/reauthenticate", json=body, headers=alice))
    refused = client.post("/me/passkeys/options", headers=alice)
    assert problem(refused) == (401, "reauthentication_required")
    assert second_factor(client)["options"]["rpId"] == "localhost"


def test_without_a_session_there_are_no_passkeys(client: httpx.Client, alice: Headers) -> None:
    for method, path in (
        ("GET", "/me/passkeys"),
        ("POST", "/me/passkeys/options"),
        ("POST", "/me/passkeys"),
        ("PATCH", f"/me/passkeys/{UNKNOWN_ID}"),
        ("DELETE", f"/me/passkeys/{UNKNOWN_ID}"),
    ):
        assert problem(client.request(method, path, json={})) == (401, "not_authenticated")


def test_a_user_has_at_most_a_hundred_passkeys(
    service: Service, client: httpx.Client, alice: Headers
) -> None:
    """All of them are in the options of each log-in."""
    add_passkey(client, alice, browser(service))
    execute(
        service.database_url,
        """INSERT INTO passkey (id, user_id, credential_id, public_key, sign_count, rp_id, name,
                                is_backup_eligible, is_backed_up)
           SELECT gen_random_uuid(), user_id, int4send(number), public_key, 0, rp_id, name,
                  false, false
           FROM passkey, generate_series(1, 98) AS number""",
    )
    add_passkey(client, alice, browser(service))
    asked = registration_options(client, alice)
    refused = register(client, alice, asked, browser(service))
    assert problem(refused) == (400, "validation_failed")
    assert refused.json()["errors"][0]["field"] == "credential"
    one_less = listed(client, alice)["passkeys"][50]["id"]
    assert client.delete(f"/me/passkeys/{one_less}", headers=alice).status_code == 204
    add_passkey(client, alice, browser(service))
