"""The role of the service has the privileges that it needs, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pyotp
import pytest

from service.model.service_tokens import Scope
from service.storage.privileges import PRIVILEGES
from tests.authenticator import Authenticator
from tests.cli.running import run
from tests.databases import TestServer, execute, fetch, fetch_value
from tests.factories import PASSWORD, age_sessions, bearer, log_in, service_token, sign_up
from tests.mail.conftest import mail_environment, plain_url
from tests.services import running, wait_for
from tests.smtp_server import SMTPServer, serving

NEW_PASSWORD = "an entirely different one"


@pytest.fixture(scope="module")
def database_url(postgresql: TestServer) -> Iterator[str]:
    with postgresql.database() as url:
        yield url


@contextmanager
def role_with_privileges(database_url: str) -> Iterator[str]:
    """Create a role, and grant it the privileges of the service."""
    name = f"Service-{uuid4()}"
    execute(database_url, f'CREATE ROLE "{name}" LOGIN')
    try:
        grant(database_url, name)
        yield name
    finally:
        execute(database_url, f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')


def grant(database_url: str, role: str) -> None:
    result = run("migrate", "--grant-to", role, DATABASE_URL=database_url)
    assert result.returncode == 0, result.stderr


def url_as(database_url: str, role: str) -> str:
    return database_url.replace("postgres@", f"{role}@")


@pytest.fixture(scope="module")
def restricted_url(database_url: str) -> Iterator[str]:
    """Return the URL of the database for the role of the service."""
    with role_with_privileges(database_url) as role:
        yield url_as(database_url, role)


def header_of(response: httpx.Response) -> dict[str, str]:
    """Return the header with the token of a response."""
    return bearer(response.json()["session"]["token"])


def production(smtp: SMTPServer) -> dict[str, str]:
    return mail_environment(
        plain_url(smtp),
        OSTIARY_ENV="production",
        OSTIARY_COOKIE_HOST_PREFIX="false",
        OSTIARY_PASSKEY_RP_ID="example.com",
        OSTIARY_JWT_ISSUER="https://auth.example.com",
        OSTIARY_JWT_AUDIENCES="billing",
    )


def add_passkey(client: httpx.Client, session: dict[str, str]) -> None:
    asked = client.post("/me/passkeys/options", headers=session).json()
    made = Authenticator(origin="https://example.com").create(asked["options"])
    body = {"challenge_token": asked["challenge_token"], "credential": made}
    response = client.post("/me/passkeys", json=body, headers=session)
    assert response.status_code == 201, response.text


def use_signing_keys(client: httpx.Client, session: dict[str, str], url: str) -> None:
    """Have an access token signed, and rotate the keys in both ways."""
    token = client.post("/me/token", json={"audience": "billing"}, headers=session)
    assert token.status_code == 200, token.text
    for options in ([], ["--now", "--yes"]):
        rotated = run("signing-key", "rotate", *options, DATABASE_URL=url)
        assert rotated.returncode == 0, rotated.stderr


def administer(client: httpx.Client, program: dict[str, str]) -> None:
    """Create a user as another program does, change and delete them."""
    fields = {"username": "Carol", "email": "carol@example.org", "email_verified": True}
    path = client.post("/admin/users", json=fields, headers=program).headers["location"]
    changes = {"roles": ["a"], "metadata": {"a": 1}, "username": "Carola", "disabled": True}
    assert client.patch(path, json=changes, headers=program).status_code == 200
    for of_user in ("", "/sessions", "/factors"):
        assert client.get(f"{path}{of_user}", headers=program).status_code == 200
    for query in ({}, {"username": "car"}, {"email": "car"}):
        found = client.get("/admin/users", params=query, headers=program).json()["users"]
        assert "Carola" in {each["username"] for each in found}
    reset = client.post(f"{path}/password-reset", json={}, headers=program)
    assert reset.status_code == 200
    assert client.delete(f"{path}/sessions", headers=program).status_code == 200
    assert client.delete(path, headers=program).status_code == 204


def test_the_privileges_are_sufficient(
    restricted_url: str, database_url: str, tmp_path: Path
) -> None:
    with (
        serving(SMTPServer()) as smtp,
        running(restricted_url, tmp_path / "service.log", production(smtp)) as service,
        service.client() as client,
    ):
        reset = {"identifier": "Alice"}
        assert client.post("/password-reset", json=reset).status_code == 202
        requests = "SELECT count(*) FROM reset_request"
        wait_for(lambda: fetch_value(database_url, requests) == 0, "the request is answered")
        mine = header_of(sign_up(client, transport="bearer"))
        assert client.get("/readyz").status_code == 200
        age_sessions(database_url, days=2)
        assert client.get("/me", headers=mine).json()["session"]["fresh"] is True
        other = log_in(client, transport="bearer")
        assert log_in(client, password="wrong").status_code == 401
        assert client.get("/sessions", headers=mine).status_code == 200
        use_signing_keys(client, mine, restricted_url)
        path = f"/sessions/{other.json()['session']['id']}"
        proof = {"method": "password", "password": PASSWORD}
        mine = header_of(client.post("/me/reauthenticate", json=proof, headers=mine))
        assert client.delete(path, headers=mine).status_code == 204
        assert client.delete("/sessions", headers=mine).status_code == 200
        change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        mine = header_of(client.put("/me/password", json=change, headers=mine))
        assert client.get("/me/export", headers=mine).status_code == 200
        renamed = client.put("/me/username", json={"username": "Alicia"}, headers=mine)
        assert renamed.status_code == 200
        set_up = client.post("/me/totp", headers=mine)
        code = {"code": pyotp.TOTP(set_up.json()["secret"]).now()}
        assert client.post("/me/totp/confirm", json=code, headers=mine).status_code == 200
        assert client.post("/me/totp/confirm", json=code, headers=mine).status_code == 409
        challenge = log_in(client, "Alicia", password=NEW_PASSWORD).json()["challenge_token"]
        wrong = {"challenge_token": challenge, "method": "totp"} | code
        assert client.post("/login/second-factor", json=wrong).json()["code"] == "invalid_code"
        assert client.post("/me/recovery-codes", headers=mine).status_code == 201
        add_passkey(client, mine)
        assert client.delete("/me/totp", headers=mine).status_code == 204
        (passkey,) = client.get("/me/passkeys", headers=mine).json()["passkeys"]
        path = f"/me/passkeys/{passkey['id']}"
        named = client.patch(path, json={"name": "A telephone"}, headers=mine)
        assert named.status_code == 200
        assert client.delete(path, headers=mine).status_code == 204
        leave = {"password": NEW_PASSWORD}
        assert client.request("DELETE", "/me", json=leave, headers=mine).status_code == 204
        # The name of the deleted user is held.
        assert sign_up(client).status_code == 409
        sign_up(client, "Bobby", transport="bearer")
        mine = header_of(log_in(client, "Bobby", transport="bearer"))
        assert client.post("/logout", headers=mine).status_code == 204
        administer(client, bearer(service_token(database_url, *Scope)))
        assert "refused" not in service.log.read_text()
        age_sessions(database_url, days=40)
    assert run("cleanup", DATABASE_URL=restricted_url).stdout.startswith("1 expired")
    assert fetch_value(database_url, "SELECT count(*) FROM session") == 0


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "DROP TABLE session",
        "TRUNCATE session",
        "ALTER TABLE key DROP COLUMN password_hash",
        "CREATE INDEX ON session (address)",
        "CREATE RULE spy AS ON INSERT TO session DO NOTHING",
        'UPDATE "user" SET created_at = now()',
        "UPDATE key SET user_id = gen_random_uuid()",
        "UPDATE key SET provider = 'email'",
        "DELETE FROM imported",
        "UPDATE session SET user_id = gen_random_uuid()",
        "UPDATE session SET absolute_expires_at = now() + interval '1 year'",
        "UPDATE alembic_version SET version_num = '9999'",
        "SELECT * FROM pg_authid",
        "COPY key TO PROGRAM 'cat'",
        "CREATE ROLE mallory",
    ],
)  # fmt: skip
def test_the_privileges_are_minimal(restricted_url: str, statement: str) -> None:
    # Rolled back, should it be permitted: the tests share the database.
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        execute(restricted_url, f"BEGIN; {statement}; ROLLBACK")


def test_granting_revokes_earlier_privileges(database_url: str) -> None:
    with role_with_privileges(database_url) as role:
        execute(database_url, f'GRANT ALL ON session TO "{role}"')
        grant(database_url, role)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            execute(url_as(database_url, role), "TRUNCATE session")


def test_every_table_of_the_service_can_be_read(restricted_url: str) -> None:
    for table in PRIVILEGES:
        assert fetch(restricted_url, f'SELECT * FROM "{table}" LIMIT 0') == []


def test_a_missing_role_is_reported(database_url: str) -> None:
    result = run("migrate", "--grant-to", "nobody", DATABASE_URL=database_url)
    assert result.returncode == 1
    assert "no role nobody" in result.stderr
