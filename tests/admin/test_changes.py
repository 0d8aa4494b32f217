"""Changes of users by merge patches (RFC 7396), and what is refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.admin.conftest import UNKNOWN, USERS, Program
from tests.databases import execute, fetch_value
from tests.factories import codes, log_in, sign_up
from tests.flows.conftest import confirm_reset
from tests.services import Service


def test_what_is_left_out_stays(program: Program, alice: str) -> None:
    program.change(alice, roles=["editor"], metadata={"plan": "team"})
    changed = program.change(alice, disabled=True, disabled_reason="Not paid.").json()

    assert (changed["roles"], changed["metadata"]) == (["editor"], {"plan": "team"})
    assert (changed["username"], changed["disabled_reason"]) == ("Alice", "Not paid.")
    assert changed == program.get(f"{USERS}/{alice}").json()


def test_an_empty_patch_changes_nothing(program: Program, service: Service, alice: str) -> None:
    before = program.etag(alice)
    answer = program.change(alice)
    assert (answer.status_code, answer.headers["etag"]) == (200, before)
    assert "_changed" not in service.logged()


@pytest.mark.parametrize(
    "fields", [{"roles": ["a"]}, {"metadata": {"a": 1}}, {"username": "Alice"}, {"disabled": True}]
)
def test_a_change_to_what_is_there_changes_nothing(
    program: Program, alice: str, fields: dict[str, Any]
) -> None:
    before = program.change(alice, roles=["a"], metadata={"a": 1}, disabled=True).headers["etag"]
    assert program.change(alice, **fields).headers["etag"] == before


def test_true_in_place_of_one_is_a_change(program: Program, alice: str) -> None:
    program.change(alice, metadata={"a": 1})
    assert program.change(alice, metadata={"a": True}).json()["metadata"] == {"a": True}


@pytest.mark.parametrize("media_type", ["application/json", "Application/Merge-Patch+JSON"])
def test_a_patch_has_either_media_type(program: Program, alice: str, media_type: str) -> None:
    answer = program.send(
        "PATCH",
        f"{USERS}/{alice}",
        content=b'{"roles": ["a"]}',
        headers={"Content-Type": media_type},
    )
    assert answer.json()["roles"] == ["a"]


def test_another_media_type_is_refused(program: Program, alice: str) -> None:
    answer = program.send(
        "PATCH",
        f"{USERS}/{alice}",
        content=b"[]",
        headers={"Content-Type": "application/json-patch+json"},
    )
    assert answer.status_code == 415
    created = program.send(
        "POST", USERS, content=b"{}", headers={"Content-Type": "application/merge-patch+json"}
    )
    assert created.status_code == 415


def test_duplicate_roles_count_once(program: Program, alice: str) -> None:
    assert program.change(alice, roles=["b", "a", "b"]).json()["roles"] == ["a", "b"]


def test_null_removes_the_reason_and_enabling_does_so_too(program: Program, alice: str) -> None:
    program.change(alice, disabled=True, disabled_reason="Not paid.")
    left = program.change(alice, disabled_reason=None).json()
    assert (left["disabled"], left["disabled_reason"]) == (True, None)
    program.change(alice, disabled_reason="Again.")
    enabled = program.change(alice, disabled=False).json()
    assert (enabled["disabled"], enabled["disabled_reason"]) == (False, None)
    assert enabled["disabled_at"] is None


def test_who_is_disabled_remains_so_since_the_first_time(program: Program, alice: str) -> None:
    first = program.change(alice, disabled=True).json()["disabled_at"]
    assert program.change(alice, disabled=True, disabled_reason="x").json()["disabled_at"] == first


@pytest.mark.parametrize("fields", [{"disabled_reason": "x"}, {"roles": ["a"]}])
def test_a_change_of_who_is_disabled_leaves_the_link_to_reset_the_password(
    program: Program, client: httpx.Client, alice: str, fields: dict[str, Any]
) -> None:
    """It was made since they were disabled, for when they are enabled again."""
    program.change(alice, disabled=True)
    made = program.send("POST", f"{USERS}/{alice}/password-reset", json={"deliver": "return"})
    assert program.change(alice, **fields).status_code == 200
    program.change(alice, disabled=False)
    assert confirm_reset(client, made.json()["token"]).status_code == 200


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"roles": None}, {"roles": "wrong_type"}),
        ({"disabled": None}, {"disabled": "wrong_type"}),
        ({"username": None}, {"username": "wrong_type"}),
        ({"username": "al"}, {"username": "too_short"}),
        ({"roles": "admin"}, {"roles": "not_allowed"}),
        ({"roles": [""]}, {"roles": "not_allowed"}),
        ({"roles": ["a" * 65]}, {"roles": "not_allowed"}),
        ({"roles": ["admin\n"]}, {"roles": "not_allowed"}),
        ({"roles": [f"r{number}" for number in range(101)]}, {"roles": "too_long"}),
        ({"disabled": 1}, {"disabled": "wrong_type"}),
        ({"disabled_reason": "x"}, {"disabled_reason": "not_allowed"}),
        ({"disabled": True, "disabled_reason": ""}, {"disabled_reason": "not_allowed"}),
        ({"disabled": True, "disabled_reason": "\0"}, {"disabled_reason": "not_allowed"}),
        ({"disabled": True, "disabled_reason": "x" * 501}, {"disabled_reason": "not_allowed"}),
        ({"id": UNKNOWN}, {"id": "unknown_field"}),
        ({"created_at": "2026-01-01T00:00:00Z"}, {"created_at": "unknown_field"}),
        ({"password_hash": "x"}, {"password_hash": "unknown_field"}),
        ({"password": "x"}, {"password": "unknown_field"}),
        ({"email": "a@example.com"}, {"email": "unknown_field"}),
        ({"email_verified_at": None}, {"email_verified_at": "unknown_field"}),
        ({"version": 0}, {"version": "unknown_field"}),
        ({"disabled_at": None}, {"disabled_at": "unknown_field"}),
    ],
)
def test_what_cannot_be_changed_so_is_refused(
    program: Program, alice: str, fields: dict[str, Any], expected: dict[str, str]
) -> None:
    before = program.etag(alice)
    refused = program.change(alice, **fields)
    assert (refused.status_code, codes(refused)) == (400, expected)
    assert program.etag(alice) == before


def test_a_new_user_name_logs_in_and_the_former_is_held(
    program: Program, client: httpx.Client, alice: str
) -> None:
    assert program.change(alice, username="Support").json()["username"] == "Support"
    client.cookies.clear()
    assert log_in(client, "support").status_code == 200
    client.cookies.clear()
    assert log_in(client).status_code == 401
    assert sign_up(client).json()["code"] == "username_taken"


def test_a_taken_user_name_is_refused_and_nothing_changes(
    program: Program, client: httpx.Client, alice: str
) -> None:
    client.cookies.clear()
    sign_up(client, "Bobby")
    before = program.etag(alice)
    refused = program.change(alice, username="BOBBY", roles=["a"])
    assert (refused.status_code, refused.json()["code"]) == (409, "username_taken")
    assert program.etag(alice) == before


def test_a_user_with_an_address_alone_gets_a_first_user_name(
    program: Program, client: httpx.Client
) -> None:
    created = program.create(email="a@example.com", password="correct horse battery staple")
    user_id = created.json()["id"]
    assert program.change(user_id, username="Alice").json()["username"] == "Alice"
    assert log_in(client).json()["user"]["id"] == user_id


def test_roles_and_metadata_are_seen_by_the_user(
    program: Program, client: httpx.Client, service: Service, alice: str
) -> None:
    program.change(alice, roles=["admin"], metadata={"seats": 3})
    user = client.get("/me").json()["user"]
    assert (user["roles"], user["metadata"]) == (["admin"], {"seats": 3})
    execute(service.database_url, "UPDATE session SET authenticated_at = now()")
    exported = client.get("/me/export").json()["user"]
    assert (exported["roles"], exported["metadata"]) == (["admin"], {"seats": 3})


def test_a_change_keeps_sessions_and_what_protects_the_user(
    program: Program, client: httpx.Client, service: Service, alice: str
) -> None:
    version = 'SELECT security_version FROM "user"'
    before = fetch_value(service.database_url, version)
    program.change(alice, roles=["a"], metadata={"a": 1}, username="Alicia")
    assert client.get("/me").status_code == 200
    assert fetch_value(service.database_url, version) == before
