"""Change of the user name, and export of the account."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.databases import execute, fetch_value
from tests.factories import PASSWORD, bearer, codes, log_in, sign_up
from tests.services import Service


@pytest.fixture
def alice(client: httpx.Client) -> dict[str, str]:
    session = sign_up(client, transport="bearer", device_name="Jane's phone").json()["session"]
    return bearer(session["token"])


def rename(client: httpx.Client, headers: dict[str, str], name: str) -> httpx.Response:
    return client.put("/me/username", json={"username": name}, headers=headers)


def test_the_new_name_logs_in_and_the_former_one_does_not(
    client: httpx.Client, alice: dict[str, str]
) -> None:
    response = rename(client, alice, "Alicia")
    assert response.status_code == 200
    assert response.json()["user"]["username"] == "Alicia"
    assert client.get("/me", headers=alice).json()["user"]["username"] == "Alicia"
    assert log_in(client, "alicia", transport="bearer").status_code == 200
    assert log_in(client, "Alice").json()["code"] == "invalid_credentials"


def test_another_spelling_of_the_own_name_can_be_chosen(
    client: httpx.Client, alice: dict[str, str]
) -> None:
    assert rename(client, alice, "ALICE").json()["user"]["username"] == "ALICE"


def test_the_name_of_another_user_is_taken(client: httpx.Client, alice: dict[str, str]) -> None:
    sign_up(client, "Robert", transport="bearer")
    response = rename(client, alice, "ROBERT")
    assert (response.status_code, response.json()["code"]) == (409, "username_taken")
    assert client.get("/me", headers=alice).json()["user"]["username"] == "Alice"


def test_what_sign_up_refuses_is_refused(client: httpx.Client, alice: dict[str, str]) -> None:
    assert codes(rename(client, alice, "admin")) == {"username": "reserved"}
    assert codes(rename(client, alice, "al")) == {"username": "too_short"}


def test_of_two_users_who_want_one_name_at_once_one_gets_it(
    client: httpx.Client, alice: dict[str, str]
) -> None:
    other = bearer(sign_up(client, "Robert", transport="bearer").json()["session"]["token"])
    with ThreadPoolExecutor(2) as threads:
        answers = list(
            threads.map(lambda headers: rename(client, headers, "Wanted"), [alice, other])
        )
    assert sorted(each.status_code for each in answers) == [200, 409]


def test_a_user_without_a_user_name_gets_a_first_one_with_their_password(
    service: Service, client: httpx.Client, alice: dict[str, str]
) -> None:
    execute(
        service.database_url,
        "UPDATE key SET provider = 'email', name = 'a@example.com', display_name = 'a@example.com'",
    )
    assert client.get("/me", headers=alice).json()["user"]["username"] is None
    with ThreadPoolExecutor(4) as threads:
        names = [f"Alice{n}" for n in range(4)]
        answers = list(threads.map(lambda name: rename(client, alice, name), names))
    assert {each.status_code for each in answers} == {200}
    assert fetch_value(service.database_url, "SELECT count(*) FROM key") == 2
    name = client.get("/me", headers=alice).json()["user"]["username"]
    assert log_in(client, name).status_code == 200


def test_the_export_has_everything_that_is_kept(
    client: httpx.Client, alice: dict[str, str]
) -> None:
    exported = client.get("/me/export", headers=alice).json()
    me = client.get("/me", headers=alice).json()
    assert exported["user"] == me["user"]
    (key,) = exported["keys"]
    assert (key["provider"], key["name"], key["has_password"]) == ("username", "Alice", True)
    (session,) = exported["sessions"]
    assert session["id"] == me["session"]["id"]
    assert (session["device_name"], session["address"]) == ("Jane's phone", "127.0.0.1")
    assert len(exported["devices"]) == 1


def test_the_export_has_the_accounts_of_the_user_at_providers_and_nobody_elses(
    service: Service, client: httpx.Client, alice: dict[str, str]
) -> None:
    sign_up(client, "Robert", transport="bearer")
    execute(
        service.database_url,
        """INSERT INTO identity (id, user_id, issuer, subject, created_at, last_used_at)
           SELECT gen_random_uuid(), user_id, 'https://id.example', display_name,
                  '2020-01-01T00:00:00Z', NULL
           FROM key""",
    )
    exported = client.get("/me/export", headers=alice).json()
    assert exported["identities"] == [
        {
            "issuer": "https://id.example",
            "subject": "Alice",
            "created_at": "2020-01-01T00:00:00.000000Z",
            "last_used_at": None,
        }
    ]


def test_every_column_about_a_user_is_exported_or_is_a_secret_or_derived(
    service: Service,
) -> None:
    columns = fetch_value(
        service.database_url,
        """SELECT string_agg(table_name || '.' || column_name, ' ' ORDER BY table_name, column_name)
           FROM information_schema.columns
           WHERE table_schema = 'public' AND table_name IN (
               SELECT table_name FROM information_schema.columns
               WHERE column_name = 'user_id' OR table_name = 'user'
           )""",
    )
    exported = """
        challenge.created_at challenge.display_address challenge.expires_at challenge.purpose
        device.last_seen key.created_at key.display_name key.provider key.verified_at
        session.address session.created_at session.device_name session.id session.idle_expires_at
        session.methods session.renewed_at session.user_agent user.created_at user.id
        user.roles user.metadata
        identity.issuer identity.subject identity.created_at identity.last_used_at
        totp.created_at totp.confirmed_at totp.last_used_at totp_failure.failed_at
        passkey.id passkey.name passkey.rp_id passkey.credential_id passkey.aaguid
        passkey.transports passkey.sign_count passkey.is_backed_up passkey.created_at
        passkey.last_used_at"""
    left_out = """
        challenge.address challenge.data challenge.failures challenge.id challenge.key_id
        challenge.secret_hash challenge.security_version challenge.session_id challenge.user_id
        identity.id identity.user_id
        imported.id imported.kind imported.user_id
        username_hold.freed_at username_hold.name_hash username_hold.user_id
        device.hash device.user_id key.name key.password_hash key.password_scheme key.user_id
        session.absolute_expires_at session.active_expires_at session.authenticated_at
        session.device_hash session.legacy_cookie session.secret_hash session.user_id
        user.disabled_at user.disabled_reason user.version
        user.security_version user.security_changed_at user.passkey_handle
        totp.user_id totp.secret_id totp.last_step
        totp_failure.id totp_failure.user_id totp_failure.device_hash
        passkey.user_id passkey.public_key passkey.is_backup_eligible
        recovery_code.user_id recovery_code.hash recovery_code.created_at
        sealed_secret.id sealed_secret.user_id sealed_secret.purpose sealed_secret.key_id
        sealed_secret.ciphertext sealed_secret.created_at"""
    assert set(columns.split()) == {*exported.split(), *left_out.split()}


def test_the_export_holds_nothing_that_opens_the_account(
    service: Service, client: httpx.Client
) -> None:
    session = sign_up(client, "Mallory", transport="bearer").json()["session"]
    text = client.get("/me/export", headers=bearer(session["token"])).text
    password_hash = fetch_value(service.database_url, "SELECT password_hash FROM key")
    for secret in (session["token"], session["device_token"], password_hash, PASSWORD):
        assert secret not in text
