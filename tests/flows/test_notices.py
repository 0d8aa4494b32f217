"""What users are told by mail of changes to their account."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.databases import execute, fetch_value, wait_until
from tests.factories import age_sessions, bearer, sign_up
from tests.flows.conftest import (
    ALICE,
    NEW_PASSWORD,
    Mailboxes,
    command,
    confirm_reset,
    log_in_by,
    opened,
    problem,
    user_with_address,
)
from tests.mail.conftest import mail_environment
from tests.service_pool import ServicePool
from tests.services import Service

THIRD = "a third and longer passphrase"
FOREIGN = {"User-Agent": "Curl of a stranger"}


@pytest.fixture
def alice(client: httpx.Client, mailboxes: Mailboxes) -> dict[str, str]:
    return user_with_address(client, mailboxes, username="Alice")


@pytest.mark.parametrize("change", ["name", "export"])
def test_all_sessions_of_a_user_have_twenty_changes_of_which_the_user_is_told(
    client: httpx.Client, alice: dict[str, str], change: str
) -> None:
    other = opened(log_in_by(client, "Alice"))

    def make(number: int) -> int:
        session = (alice, other)[number % 2]
        if change == "export":
            return client.get("/me/export", headers=session).status_code
        body = {"username": f"name{number}"}
        return client.put("/me/username", json=body, headers=session).status_code

    assert [make(number) for number in range(22)] == [200] * 20 + [429] * 2


def all_mails_are_out(service: Service) -> None:
    wait_until(service.database_url, "NOT EXISTS (SELECT FROM mail)")


@pytest.mark.parametrize(
    ("method", "path", "body", "subject"),
    [
        (
            "PUT",
            "/me/password",
            {"current_password": NEW_PASSWORD, "new_password": THIRD},
            "Your password was changed",
        ),
        ("PUT", "/me/username", {"username": "Alicia"}, "Your user name was changed"),
        ("PUT", "/me/email", {"email": "new@example.org"}, "Change of your address"),
        ("DELETE", "/me/email", None, "Your address was removed"),
        ("GET", "/me/export", None, "Your data was exported"),
        ("DELETE", "/me", None, "Your account was deleted"),
        ("DELETE", "/me", {"password": NEW_PASSWORD}, "Your account was deleted"),
    ],
)
def test_a_change_is_told_with_where_it_came_from(
    client: httpx.Client,
    mailboxes: Mailboxes,
    alice: dict[str, str],
    method: str,
    path: str,
    body: dict[str, str] | None,
    subject: str,
) -> None:
    response = client.request(method, path, json=body, headers=alice | FOREIGN)
    assert response.is_success
    mail = mailboxes.newest(ALICE, subject)
    for part in ("plain", "html"):
        assert "Curl of a stranger" in mail.part(part)
        assert "127.0.0.1" in mail.part(part)
    assert len(mailboxes.of(ALICE, subject)) == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/me/password", {"current_password": "wrong", "new_password": THIRD}),
        ("PUT", "/me/username", {"username": "Bobby"}),
        ("DELETE", "/me", {"password": "wrong"}),
    ],
)
def test_what_failed_is_not_told(
    service: Service,
    client: httpx.Client,
    mailboxes: Mailboxes,
    alice: dict[str, str],
    method: str,
    path: str,
    body: dict[str, str],
) -> None:
    sign_up(client, "Bobby")
    client.cookies.clear()
    assert client.request(method, path, json=body, headers=alice).status_code in {401, 409}
    all_mails_are_out(service)
    assert len(mailboxes.of(ALICE)) == 1


def test_who_has_no_verified_address_is_not_told(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    execute(service.database_url, "UPDATE key SET verified_at = NULL")
    body = {"current_password": NEW_PASSWORD, "new_password": THIRD}
    assert client.put("/me/password", json=body, headers=alice).status_code == 200
    all_mails_are_out(service)
    assert len(mailboxes.of(ALICE)) == 1


def test_a_log_in_from_a_new_device_is_told_once_a_day(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    for _ in range(3):
        assert log_in_by(client, "Alice").status_code == 200
    mailboxes.newest(ALICE, "Log-in from a new device")
    all_mails_are_out(service)
    assert len(mailboxes.of(ALICE, "Log-in from a new device")) == 1
    execute(service.database_url, "UPDATE rate_limit SET tat = tat - interval '1 day'")
    assert log_in_by(client, "Alice").status_code == 200
    mailboxes.newest(ALICE, "Log-in from a new device", number=2)


def test_a_log_in_from_a_known_device_is_not_told(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    device = log_in_by(client, "Alice").json()["session"]["device_token"]
    mailboxes.newest(ALICE, "Log-in from a new device")
    execute(service.database_url, "DELETE FROM rate_limit")
    body = {"username": "Alice", "password": NEW_PASSWORD, "device_token": device}
    assert client.post("/login", json=body).status_code == 200
    all_mails_are_out(service)
    assert len(mailboxes.of(ALICE, "Log-in from a new device")) == 1


def test_who_has_never_had_another_device_is_not_told_of_the_first(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    execute(service.database_url, "DELETE FROM device")
    assert log_in_by(client, "Alice").status_code == 200
    all_mails_are_out(service)
    assert mailboxes.of(ALICE, "Log-in from a new device") == []


def test_a_wrong_password_from_a_new_device_is_not_told(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    assert log_in_by(client, "Alice", "wrong").status_code == 401
    all_mails_are_out(service)
    assert len(mailboxes.of(ALICE)) == 1


@pytest.fixture
def command_line(service: Service) -> dict[str, str]:
    """Return the variables of commands that share the database of the service."""
    environment = mail_environment("smtp+plain://127.0.0.1:1")
    return {"DATABASE_URL": service.database_url, **environment}


@pytest.mark.parametrize("name", ["Alice", ALICE])
def test_an_operator_makes_a_reset_link_and_the_user_is_told(
    client: httpx.Client,
    mailboxes: Mailboxes,
    alice: dict[str, str],
    command_line: dict[str, str],
    name: str,
) -> None:
    made = command("user", "reset-link", name, **command_line)
    assert made.returncode == 0, made.stderr
    link, validity = made.stdout.splitlines()
    assert link.startswith("https://app.example.com/reset#token=")
    assert validity.startswith("Valid until 20")
    mailboxes.newest(ALICE, "A link to reset your password")
    token = link.partition("token=")[2]
    assert client.get("/me", headers=alice).status_code == 200
    assert confirm_reset(client, token, THIRD).status_code == 200
    assert problem(confirm_reset(client, token, THIRD)) == (401, "invalid_challenge")
    assert log_in_by(client, "Alice", THIRD).status_code == 200


def test_a_reset_link_is_made_for_who_has_no_address_and_without_smtp(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    client.cookies.clear()
    environment = {
        "DATABASE_URL": service.database_url,
        "OSTIARY_ENV": "production",
        "OSTIARY_SECRET_KEYS": mail_environment("")["OSTIARY_SECRET_KEYS"],
    }
    refused = command("user", "reset-link", "Alice", **environment)
    assert refused.returncode == 1
    assert refused.stderr.startswith("OSTIARY_RESET_URL is not set")
    environment["OSTIARY_RESET_URL"] = "https://example.com/reset?token={token}"
    made = command("user", "reset-link", "Alice", "--json", **environment)
    token = made.stdout.partition("token=")[2].partition('"')[0]
    assert confirm_reset(client, token).status_code == 200
    assert command("user", "reset-link", "Nobody", **environment).returncode == 1


def test_a_password_set_by_an_operator_and_a_deletion_are_told(
    mailboxes: Mailboxes, alice: dict[str, str], command_line: dict[str, str]
) -> None:
    assert (
        command("user", "set-password", "Alice", typed=f"{THIRD}\n", **command_line).returncode == 0
    )
    mailboxes.newest(ALICE, "Your password was changed")
    assert command("user", "delete", "Alice", "--yes", **command_line).returncode == 0
    mailboxes.newest(ALICE, "Your account was deleted")


def without_password(service: Service, session: dict[str, str]) -> dict[str, str]:
    execute(service.database_url, "UPDATE key SET password_hash = NULL, password_scheme = NULL")
    age_sessions(service.database_url, days=1 / 100)
    return session


def options(client: httpx.Client, session: dict[str, str]) -> dict[str, Any]:
    response = client.post("/me/reauthenticate/options", headers=session)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def by_code(
    client: httpx.Client, session: dict[str, str], challenge: str, code: str
) -> httpx.Response:
    body = {"method": "email_code", "challenge_token": challenge, "code": code}
    return client.post("/me/reauthenticate", json=body, headers=session)


def test_who_has_a_password_is_proven_by_it_and_gets_no_code(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    assert options(client, alice) == {"methods": ["password"]}
    all_mails_are_out(service)
    assert len(mailboxes.of(ALICE)) == 1


def test_who_has_no_password_is_proven_by_a_mailed_code(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    session = without_password(service, alice)
    refused = client.get("/me/export", headers=session)
    assert problem(refused) == (401, "reauthentication_required")
    assert refused.json()["methods"] == ["email_code"]
    asked = options(client, session)
    code = mailboxes.code(ALICE, number=2)
    proven = by_code(client, session, asked["challenge_token"], code)
    assert "email_code" in [each["method"] for each in proven.json()["session"]["methods"]]
    assert client.get("/me", headers=session).status_code == 401
    session = bearer(proven.json()["session"]["token"])
    assert client.get("/me/export", headers=session).status_code == 200
    again = by_code(client, session, asked["challenge_token"], code)
    assert problem(again) == (401, "invalid_challenge")


def test_a_code_proves_nobody_who_has_a_password(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    """One that was set after the code was mailed voids it."""
    session = without_password(service, alice)
    asked = options(client, session)
    code = mailboxes.code(ALICE, number=2)
    made = command(
        "user", "reset-link", "Alice", DATABASE_URL=service.database_url, **secret_keys()
    )
    token = made.stdout.partition("token=")[2].partition("\n")[0]
    session = opened(confirm_reset(client, token))
    refused = by_code(client, session, asked["challenge_token"], code)
    assert problem(refused) == (401, "invalid_challenge")


def test_a_change_of_the_security_version_voids_a_mailed_code(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    session = without_password(service, alice)
    asked = options(client, session)
    code = mailboxes.code(ALICE, number=2)
    execute(service.database_url, 'UPDATE "user" SET security_version = security_version + 1')
    refused = by_code(client, session, asked["challenge_token"], code)
    assert problem(refused) == (401, "invalid_challenge")


def test_codes_that_reauthenticate_are_limited_for_a_user_and_mailed_to_five_an_hour(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, alice: dict[str, str]
) -> None:
    """What is asked for beyond the five looks alike, and has no answer."""
    sessions = [without_password(service, opened(log_in_by(client, "Alice"))), alice]
    statuses = [
        client.post("/me/reauthenticate/options", headers=sessions[n % 2]).status_code
        for n in range(21)
    ]
    assert statuses == [200] * 20 + [429]
    all_mails_are_out(service)
    assert len(mailboxes.of(ALICE, "code")) == 1 + 5
    answerable = (
        "SELECT count(*) FROM challenge WHERE purpose = 'reauthentication' AND key_id <> ''"
    )
    assert fetch_value(service.database_url, answerable) == 5


def secret_keys() -> dict[str, str]:
    return {"OSTIARY_SECRET_KEYS": mail_environment("")["OSTIARY_SECRET_KEYS"]}


def test_each_method_needs_its_fields(client: httpx.Client, alice: dict[str, str]) -> None:
    for body, missing in (
        ({"method": "password"}, {"password"}),
        ({"method": "email_code"}, {"code", "challenge_token"}),
        ({"method": "email_code", "password": NEW_PASSWORD}, {"code", "challenge_token"}),
        ({"method": "reset", "password": NEW_PASSWORD}, {"method"}),
    ):
        refused = client.post("/me/reauthenticate", json=body, headers=alice)
        assert refused.status_code == 400
        assert {each["field"] for each in refused.json()["errors"]} == missing


def test_without_an_smtp_server_production_has_no_routes_that_need_mail(
    services: ServicePool,
) -> None:
    with services.service({"OSTIARY_ENV": "production"}).client() as client:
        session = opened(sign_up(client, transport="bearer"))
        for method, path, body in (
            ("POST", "/signup/email", {"email": ALICE}),
            ("POST", "/signup/email/verify", {}),
            ("POST", "/password-reset", {"identifier": "Alice"}),
            ("PUT", "/me/email", {"email": ALICE}),
            ("POST", "/me/email/verify", {}),
            ("POST", "/undo", {"token": "A" * 64}),
        ):
            refused = client.request(method, path, json=body, headers=session)
            assert problem(refused) == (404, "not_found"), path
        assert options(client, session) == {"methods": ["password"]}
        assert client.delete("/me/email", headers=session).status_code == 204
        assert problem(confirm_reset(client, "A" * 64)) == (401, "invalid_challenge")
