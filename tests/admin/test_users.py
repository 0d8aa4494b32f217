"""Users, as another program reads, creates and deletes them."""

from __future__ import annotations

from typing import Any

import bcrypt
import httpx
import pytest

from service.model.service_tokens import Scope
from tests.admin.conftest import UNKNOWN, USERS, Program
from tests.databases import execute, fetch_value
from tests.factories import PASSWORD, codes, log_in, sign_up
from tests.service_pool import ServicePool
from tests.services import Service


def test_a_user_is_shown_as_operators_see_them(program: Program, alice: str) -> None:
    shown = program.get(f"{USERS}/{alice}")

    body = shown.json()
    created_at = body.pop("created_at")
    assert body == {
        "id": alice,
        "username": "Alice",
        "email": None,
        "email_verified_at": None,
        "roles": [],
        "metadata": {},
        "disabled": False,
        "disabled_at": None,
        "disabled_reason": None,
    }
    assert created_at.endswith("Z")
    assert shown.headers["etag"].startswith('"')


@pytest.mark.parametrize("user_id", [UNKNOWN, "Alice", "0"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {}),
        ("DELETE", "", None),
        ("GET", "/sessions", None),
        ("DELETE", "/sessions", None),
        ("DELETE", f"/sessions/{UNKNOWN}", None),
        ("GET", "/factors", None),
        ("DELETE", "/factors/totp", None),
        ("DELETE", f"/factors/{UNKNOWN}", None),
        ("POST", "/password-reset", {}),
    ],
)
def test_an_unknown_user_is_not_found(
    program: Program, user_id: str, method: str, path: str, body: Any
) -> None:
    answer = program.send(method, f"{USERS}/{user_id}{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_created_user_can_log_in(program: Program, client: httpx.Client) -> None:
    created = program.create(
        username="Alice",
        email="Alice@Example.com",
        email_verified=True,
        password=PASSWORD,
        roles=["b", "a", "b"],
        metadata={"plan": None},
    )

    body = created.json()
    assert created.status_code == 201, created.text
    assert created.headers["location"] == f"{USERS}/{body['id']}"
    assert created.headers["etag"] == program.etag(body["id"])
    assert body == program.get(created.headers["location"]).json()
    assert (body["roles"], body["metadata"]) == (["a", "b"], {"plan": None})
    assert body["email_verified_at"] is not None
    for name in ("alice", "alice@example.com"):
        assert log_in(client, name).json()["user"]["id"] == body["id"]


@pytest.mark.parametrize("mode", ["closed", "invited"])
def test_users_are_created_whatever_the_sign_up_mode_is(services: ServicePool, mode: str) -> None:
    service = services.service({"OSTIARY_SIGN_UP": mode})
    assert Program(service, *Scope).create(username="Alice").status_code == 201


def test_a_reserved_name_can_be_given(program: Program) -> None:
    assert program.create(username="admin").status_code == 201


def test_a_held_name_can_be_given(program: Program, client: httpx.Client, alice: str) -> None:
    program.send("DELETE", f"{USERS}/{alice}")
    assert sign_up(client).status_code in {401, 409}
    assert program.create(username="alice").status_code == 201


@pytest.mark.parametrize("prefix", ["", "bcrypt$"])
def test_a_user_is_created_with_a_hash_of_another_system(
    program: Program, client: httpx.Client, prefix: str
) -> None:
    """Also as Django keeps it."""
    text = prefix + bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    assert program.create(username="Alice", password_hash=text).status_code == 201
    assert log_in(client).status_code == 200


@pytest.mark.parametrize(
    "text",
    ["", "plain", "$2b$31$" + "a" * 53, "$argon2id$v=19$m=99999999,t=9,p=1$c2FsdHNhbHQ$aGFzaA"],
)
def test_a_hash_that_is_not_verified_is_refused(program: Program, text: str) -> None:
    refused = program.create(username="Alice", password_hash=text)
    assert (refused.status_code, codes(refused)) == (400, {"password_hash": "not_allowed"})


def test_a_hash_with_a_zero_character_is_refused(program: Program) -> None:
    refused = program.create(username="Alice", password_hash="\0:" + "0" * 128)
    assert (refused.status_code, codes(refused)) == (400, {"password_hash": "not_allowed"})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"username": "required"}),
        ({"username": "al"}, {"username": "too_short"}),
        ({"email": "alice"}, {"email": "invalid_address"}),
        ({"username": "Alice", "password": "short"}, {"password": "too_short"}),
        ({"username": "Alice", "password": "alice is here"}, {"password": "contains_username"}),
        (
            {"username": "Alice", "password": PASSWORD, "password_hash": "x"},
            {"password_hash": "not_allowed"},
        ),
        ({"username": "Alice", "email_verified": True}, {"email_verified": "not_allowed"}),
        ({"username": "Alice", "disabled_reason": "x"}, {"disabled_reason": "not_allowed"}),
        ({"username": "Alice", "roles": ["Admin"]}, {"roles": "not_allowed"}),
        ({"username": "Alice", "roles": ["admin\n"]}, {"roles": "not_allowed"}),
        ({"username": "Alice", "id": UNKNOWN}, {"id": "unknown_field"}),
        ({"username": "Alice", "created_at": "x"}, {"created_at": "unknown_field"}),
    ],
)
def test_what_does_not_make_a_user_is_refused(
    program: Program, fields: dict[str, Any], expected: dict[str, str]
) -> None:
    refused = program.create(**fields)
    assert (refused.status_code, codes(refused)) == (400, expected)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"username": "ALICE"}, "username_taken"),
        ({"username": "Bobby", "email": "A@example.com"}, "email_taken"),
    ],
)
def test_names_and_addresses_are_taken_once(
    program: Program, fields: dict[str, str], code: str
) -> None:
    program.create(username="Alice", email="a@example.com", email_verified=True)
    refused = program.create(**fields)
    assert (refused.status_code, refused.json()["code"]) == (409, code)
    assert len(program.get(USERS).json()["users"]) == 1


def test_a_verified_address_is_taken_from_whoever_has_not_verified_it(program: Program) -> None:
    first = program.create(username="Alice", email="a@example.com").json()["id"]
    before = program.etag(first)
    assert program.create(email="a@example.com", email_verified=True).status_code == 201
    assert program.get(f"{USERS}/{first}").json()["email"] is None
    assert program.etag(first) != before


def test_an_unverified_address_of_another_user_is_taken(program: Program) -> None:
    first = program.create(username="Alice", email="a@example.com").json()["id"]
    refused = program.create(email="a@example.com")
    assert (refused.status_code, refused.json()["code"]) == (409, "email_taken")
    assert program.get(f"{USERS}/{first}").json()["email"] == "a@example.com"


def test_a_user_can_begin_as_disabled(program: Program, client: httpx.Client) -> None:
    created = program.create(
        username="Alice", password=PASSWORD, disabled=True, disabled_reason="Not paid."
    ).json()
    assert (created["disabled"], created["disabled_reason"]) == (True, "Not paid.")
    assert log_in(client).json()["code"] == "account_disabled"


def test_deleting_a_user_ends_everything(
    program: Program, client: httpx.Client, service: Service, alice: str
) -> None:
    assert program.send("DELETE", f"{USERS}/{alice}").status_code == 204
    assert client.get("/me").status_code == 401
    assert fetch_value(service.database_url, "SELECT count(*) FROM key") == 0
    assert program.send("DELETE", f"{USERS}/{alice}").status_code == 404


def test_a_user_who_was_not_changed_is_not_sent_again(
    program: Program, service: Service, alice: str
) -> None:
    tag = program.etag(alice)
    for condition in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer = program.send("GET", f"{USERS}/{alice}", headers={"If-None-Match": condition})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag
    execute(service.database_url, """UPDATE "user" SET roles = '{a}', version = version + 1""")
    answer = program.send("GET", f"{USERS}/{alice}", headers={"If-None-Match": tag})
    assert answer.status_code == 200
