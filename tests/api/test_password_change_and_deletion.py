"""Changes of the password, and deletion of the account."""

from __future__ import annotations

import httpx

from tests.databases import execute, fetch, fetch_value
from tests.factories import (
    PASSWORD,
    REMOVE_PASSWORDS,
    bearer,
    codes,
    cookie,
    log_in,
    sign_up,
    token_of,
)
from tests.services import Service

ANOTHER = "an entirely different one"


def change(client: httpx.Client, current: str, new: str, **headers: str) -> httpx.Response:
    body = {"current_password": current, "new_password": new}
    return client.put("/me/password", json=body, headers=headers)


def delete_account(client: httpx.Client, password: str) -> httpx.Response:
    return client.request("DELETE", "/me", json={"password": password})


def test_the_new_password_logs_in_and_the_old_one_does_not(client: httpx.Client) -> None:
    sign_up(client)
    assert change(client, PASSWORD, ANOTHER).status_code == 200
    client.cookies.clear()
    assert log_in(client, password=PASSWORD).status_code == 401
    assert log_in(client, password=ANOTHER).status_code == 200


def test_a_password_change_ends_other_sessions_and_rotates_the_token(client: httpx.Client) -> None:
    other = token_of(sign_up(client))
    client.cookies.clear()
    old = token_of(log_in(client))
    session_id = client.get("/me").json()["session"]["id"]
    response = change(client, PASSWORD, ANOTHER)
    new = token_of(response)
    assert response.json()["session"]["id"] == session_id
    client.cookies.clear()
    for token, status in ((other, 401), (old, 401), (new, 200)):
        assert client.get("/me", headers=cookie(token)).status_code == status


def test_a_bearer_client_gets_the_new_token_in_the_body(client: httpx.Client) -> None:
    old = sign_up(client, transport="bearer").json()["session"]["token"]
    response = change(client, PASSWORD, ANOTHER, **bearer(old))
    assert "set-cookie" not in response.headers
    new = response.json()["session"]["token"]
    assert client.get("/me", headers=bearer(old)).status_code == 401
    assert client.get("/me", headers=bearer(new)).status_code == 200


def test_a_wrong_current_password_changes_nothing(client: httpx.Client) -> None:
    token = token_of(sign_up(client))
    response = change(client, "not the right one", ANOTHER)
    assert (response.status_code, response.json()["code"]) == (401, "invalid_credentials")
    assert "set-cookie" not in response.headers
    assert client.get("/me", headers=cookie(token)).status_code == 200
    client.cookies.clear()
    assert log_in(client).status_code == 200


def test_a_new_password_follows_the_sign_up_policy(client: httpx.Client) -> None:
    sign_up(client, "Alice")
    for new, code in (
        ("short", "too_short"),
        ("password123", "too_common"),
        ("this is ALICE speaking", "contains_username"),
    ):
        assert codes(change(client, PASSWORD, new)) == {"new_password": code}


def test_all_invalid_fields_of_a_password_change_are_reported(client: httpx.Client) -> None:
    sign_up(client)
    response = client.put("/me/password", json={"current_password": 1, "new_password": "x"})
    assert codes(response) == {"current_password": "wrong_type", "new_password": "too_short"}


def test_a_password_change_applies_to_all_keys_of_the_user(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    execute(
        service.database_url,
        """INSERT INTO key
           SELECT 'email', 'alice@example.com', user_id, 'Alice', password_hash, now(),
                  password_scheme
           FROM key UNION SELECT 'github', '42', user_id, 'alice', NULL, now(), NULL FROM key""",
    )
    change(client, PASSWORD, ANOTHER)
    rows = fetch(service.database_url, "SELECT provider, password_hash FROM key")
    hashes = {row["provider"]: row["password_hash"] for row in rows}
    assert hashes["email"] == hashes["username"]
    assert hashes["github"] is None


def test_password_change_and_deletion_affect_no_other_user(client: httpx.Client) -> None:
    alices = bearer(token_of(sign_up(client, "Alice")))
    client.cookies.clear()
    sign_up(client, "Bobby")
    assert change(client, PASSWORD, ANOTHER).status_code == 200
    assert client.get("/me", headers=alices).status_code == 200
    assert delete_account(client, ANOTHER).status_code == 204
    assert client.get("/me", headers=alices).status_code == 200
    client.cookies.clear()
    assert log_in(client, "Alice").status_code == 200


def test_the_password_of_the_username_key_takes_precedence(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    execute(
        service.database_url,
        """INSERT INTO key SELECT 'email', 'alice@example.com', user_id, 'Alice', 'of another',
           created_at - interval '1 day', 'a scheme' FROM key""",
    )
    assert delete_account(client, PASSWORD).status_code == 204


def test_any_key_with_a_password_proves_it(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    execute(service.database_url, "UPDATE key SET provider = 'email'")
    execute(
        service.database_url,
        "INSERT INTO key SELECT 'username', 'alice', user_id, 'Alice', NULL, created_at FROM key",
    )
    assert delete_account(client, PASSWORD).status_code == 204


def test_deletion_removes_user_keys_and_sessions(service: Service, client: httpx.Client) -> None:
    token = token_of(sign_up(client))
    response = delete_account(client, PASSWORD)
    assert (response.status_code, response.content) == (204, b"")
    assert "Max-Age=0" in response.headers["set-cookie"]
    for table in ('"user"', "key", "session"):
        assert fetch_value(service.database_url, f"SELECT count(*) FROM {table}") == 0
    assert client.get("/me", headers=cookie(token)).status_code == 401


def test_deletion_requires_the_password(client: httpx.Client) -> None:
    sign_up(client)
    assert delete_account(client, "not the right one").json()["code"] == "invalid_credentials"
    assert client.get("/me").status_code == 200


def test_a_user_without_a_password_cannot_confirm_one(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    execute(service.database_url, REMOVE_PASSWORDS)
    assert delete_account(client, PASSWORD).json()["code"] == "invalid_credentials"
    assert change(client, PASSWORD, ANOTHER).json()["code"] == "invalid_credentials"
