"""Log-in by an e-mail address, and the address of the current user."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest
from argon2 import PasswordHasher

from tests.databases import execute, fetch_value
from tests.factories import PASSWORD, codes, log_in, sign_up
from tests.services import Service

GIVE_ADDRESS = """
INSERT INTO key (provider, name, user_id, display_name, password_hash, password_scheme, verified_at)
SELECT 'email', $2, user_id, $3, password_hash, password_scheme, CASE WHEN $4 THEN now() END
FROM key WHERE user_id = $1 AND provider = 'username'
"""


def sign_up_with_address(
    client: httpx.Client,
    service: Service,
    username: str = "Alice",
    *,
    name: str = "bob@example.com",
    shown: str = "Bob@example.com",
    is_verified: bool = True,
) -> dict[str, Any]:
    """Create a user with an address. Return what sign-up told of the user."""
    client.cookies.clear()
    user: dict[str, Any] = sign_up(client, username).json()["user"]
    user_id = UUID(user["id"])
    execute(service.database_url, GIVE_ADDRESS, user_id, name, shown, is_verified)
    return user


@pytest.mark.parametrize(
    ("name", "spelling"),
    [
        ("bob@example.com", "Bob@example.com"),
        ("bob@example.com", "bob@example.com"),
        ("bob@example.com", "BOB@EXAMPLE.COM"),
        ("bob@example.com", "bob@Ｅxample。com"),
        ("zoë@example.com", "Zoë@EXAMPLE.com"),
    ],
)
def test_a_user_logs_in_by_any_spelling_of_the_address(
    service: Service, client: httpx.Client, name: str, spelling: str
) -> None:
    user = sign_up_with_address(client, service, name=name)
    client.cookies.clear()
    answer = log_in(client, spelling)
    assert answer.status_code == 200
    assert answer.json()["user"]["id"] == user["id"]
    assert answer.json()["user"]["username"] == "Alice"


def test_the_address_is_shown_as_it_was_verified(service: Service, client: httpx.Client) -> None:
    before = sign_up_with_address(client, service)
    assert (before["email"], before["email_verified_at"]) == (None, None)
    for answer in (client.get("/me"), log_in(client)):
        user = answer.json()["user"]
        assert user["email"] == "Bob@example.com"
        assert len(user["email_verified_at"]) == len(user["created_at"])
        assert user["email_verified_at"] >= user["created_at"]


def test_an_address_that_was_never_verified_logs_in_and_is_shown_as_such(
    service: Service, client: httpx.Client
) -> None:
    sign_up_with_address(client, service, is_verified=False)
    user = log_in(client, "bob@example.com").json()["user"]
    assert (user["email"], user["email_verified_at"]) == ("Bob@example.com", None)


def test_names_of_one_domain_in_unicode_and_in_ascii_are_one_address(
    service: Service, client: httpx.Client
) -> None:
    sign_up_with_address(client, service, name="bob@xn--fa-hia.de", shown="bob@faß.de")
    client.cookies.clear()
    assert log_in(client, "bob@FAß.de").status_code == 200
    assert log_in(client, "bob@xn--fa-hia.de").status_code == 200
    assert log_in(client, "bob@fass.de").status_code == 401


def test_an_imported_user_name_with_an_at_sign_logs_in(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    execute(service.database_url, "UPDATE key SET name = 'alice@home', display_name = 'Alice@Home'")
    client.cookies.clear()
    assert log_in(client, "ALICE@home").status_code == 200


def test_an_address_takes_precedence_over_a_user_name_that_looks_like_it(
    service: Service, client: httpx.Client
) -> None:
    """The owner of the name cannot be found by it, but nobody else is found instead."""
    owner = sign_up_with_address(client, service)
    client.cookies.clear()
    sign_up(client, "Mallory", password="another password of hers")
    execute(service.database_url, "UPDATE key SET name = 'bob@example.com' WHERE name = 'mallory'")
    client.cookies.clear()
    assert log_in(client, "bob@example.com", password="another password of hers").is_client_error
    assert log_in(client, "bob@example.com").json()["user"]["id"] == owner["id"]


@pytest.mark.parametrize(
    "typed",
    [
        *("bob@example.com,eve@example.com", "bob@example.com\n", "bob@example.com "),
        *("<bob@example.com>", "Bob <bob@example.com>", '"bob"@example.com', "bob@example.com\0"),
        *("bob@", "@example.com", "@", "bob@example"),
    ],
)
def test_text_that_is_no_address_is_that_of_an_unknown_user(
    service: Service, client: httpx.Client, typed: str
) -> None:
    sign_up_with_address(client, service)
    client.cookies.clear()
    refused = log_in(client, typed)
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_credentials")


@pytest.mark.parametrize(
    "value", [["bob@example.com", "eve@example.com"], {"email": "bob@example.com"}, 1, None, True]
)
def test_an_address_of_another_json_type_is_refused(
    service: Service, client: httpx.Client, value: object
) -> None:
    sign_up_with_address(client, service)
    refused = client.post("/login", json={"username": value, "password": PASSWORD})
    assert refused.status_code == 400
    assert codes(refused) == {"username": "wrong_type"}


def test_an_address_that_is_given_twice_is_refused(service: Service, client: httpx.Client) -> None:
    sign_up_with_address(client, service)
    body = f'{{"username": "bob@example.com", "username": "eve@x.com", "password": "{PASSWORD}"}}'
    refused = client.post("/login", content=body, headers={"Content-Type": "application/json"})
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed_json")


def test_a_new_password_is_that_of_the_address_too(service: Service, client: httpx.Client) -> None:
    sign_up_with_address(client, service)
    execute(
        service.database_url,
        "UPDATE key SET password_hash = NULL, password_scheme = NULL WHERE provider = 'email'",
    )
    change = {"current_password": PASSWORD, "new_password": "an entirely different one"}
    assert client.put("/me/password", json=change).status_code == 200
    for name in ("alice", "bob@example.com"):
        assert log_in(client, name, password="an entirely different one").status_code == 200
        assert log_in(client, name).status_code == 401


def test_the_hash_of_an_address_is_renewed_as_any_other(
    service: Service, client: httpx.Client
) -> None:
    sign_up_with_address(client, service)
    # The same password, by the cost of another system.
    old = fetch_value(service.database_url, "SELECT password_hash FROM key WHERE name = 'alice'")
    execute(
        service.database_url,
        "UPDATE key SET password_hash = $1, password_scheme = 'argon2id v=19 m=64 t=2 p=1'",
        argon2_of_another_cost(),
    )
    assert log_in(client, "bob@example.com").status_code == 200
    query = "SELECT password_hash FROM key WHERE provider = 'email'"
    renewed = fetch_value(service.database_url, query)
    assert renewed.split("$")[3] == old.split("$")[3]


def argon2_of_another_cost() -> str:
    return PasswordHasher(time_cost=2, memory_cost=64, parallelism=1).hash(PASSWORD)


@pytest.mark.parametrize("is_verified", [True, False])
def test_the_sessions_of_the_user_are_those_of_the_address(
    service: Service, client: httpx.Client, *, is_verified: bool
) -> None:
    sign_up_with_address(client, service, is_verified=is_verified)
    client.cookies.clear()
    log_in(client, "bob@example.com")
    assert len(client.get("/sessions").json()["sessions"]) == 2
