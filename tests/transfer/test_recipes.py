"""The recipes of `docs/transfer.md`, as they stand there, on dumps of the original software."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.auth.test_legacy_hashes import KEYCLOAK, OTHERS
from tests.databases import Connection, TestServer, fetch, on_connection
from tests.factories import log_in
from tests.factors.conftest import problem
from tests.flows.conftest import command
from tests.services import Service

HERE = Path(__file__).parent
GUIDE = (HERE.parents[1] / "docs" / "transfer.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"<!-- recipe: ([\w-]+) -->\n\n```sql\n(.*?)```", GUIDE, re.DOTALL))
HEADER = re.search(r"echo \'(\{.*?\})\'", GUIDE)

KEYCLOAK_TABLES = """
CREATE TABLE realm (id text, name text);
CREATE TABLE user_entity (
    id text, email text, email_verified boolean, enabled boolean, realm_id text, username text,
    created_timestamp bigint, service_account_client_link text);
CREATE TABLE credential (
    id text, type text, user_id text, secret_data text, credential_data text);
CREATE TABLE federated_identity (
    identity_provider text, realm_id text, federated_user_id text, user_id text);
CREATE TABLE identity_provider (
    internal_id text, provider_alias text, provider_id text, realm_id text);
CREATE TABLE identity_provider_config (identity_provider_id text, value text, name text);
INSERT INTO realm VALUES ('r1', 'my-realm'), ('r2', 'another');
"""


# The tables of allauth 65 have more columns, of which the recipe reads none.
ALLAUTH_TABLES = """
CREATE TABLE socialaccount_socialaccount (
    id integer, provider text, uid text, last_login timestamptz, date_joined timestamptz,
    user_id integer);
INSERT INTO socialaccount_socialaccount VALUES
    (1, 'google', '110169484474386276334', '2026-01-31T09:30:00Z', '2020-01-01T00:00:00Z', 1),
    (2, 'facebook', '42', '2026-01-31T09:30:00Z', '2020-01-01T00:00:00Z', 1),
    (3, 'github', '42', '2026-01-31T09:30:00Z', '2020-01-01T00:00:00Z', 4);
"""

# By an alias of the administrator's choice; r2 has one of the same name.
KEYCLOAK_IDENTITIES = """
INSERT INTO identity_provider VALUES
    ('i1', 'google', 'google', 'r1'), ('i2', 'hub', 'github', 'r1'),
    ('i3', 'corp', 'oidc', 'r1'), ('i4', 'bare', 'oidc', 'r1'), ('i5', 'face', 'facebook', 'r1'),
    ('i6', 'corp', 'oidc', 'r2'), ('i7', 'ghe', 'github', 'r1');
INSERT INTO identity_provider_config VALUES
    ('i3', 'https://login.corp.example/realms/a', 'issuer'), ('i3', 'secret', 'clientSecret'),
    ('i6', 'https://login.other.example', 'issuer'), ('i2', '', 'baseUrl'),
    ('i7', 'https://ghe.corp.example', 'baseUrl'), ('i4', '', 'issuer');
INSERT INTO federated_identity VALUES
    ('google', 'r1', '110169484474386276334', 'user-0'), ('hub', 'r1', '42', 'user-0'),
    ('corp', 'r1', '7', 'user-0'), ('bare', 'r1', '7', 'user-0'), ('face', 'r1', '7', 'user-0'),
    ('ghe', 'r1', '42', 'user-0'), ('corp', 'r1', '8', 'user-1');
"""


def identities_in(service: Service) -> set[tuple[str, str, str]]:
    """Return the names of users, with their accounts at providers."""
    rows = fetch(
        service.database_url,
        "SELECT display_name, issuer, subject FROM identity JOIN key USING (user_id) "
        "WHERE key.provider = 'username' OR issuer = 'https://github.com'",
    )
    return {tuple(row) for row in rows}


@pytest.fixture
def other_system(postgresql: TestServer) -> Iterator[str]:
    """Return the URL of an empty database for the tables of another system."""
    with postgresql.database(template="template0") as url:
        yield url


def load(url: str, *statements: str) -> None:
    async def run(connection: Connection) -> None:
        for each in statements:
            await connection.execute(each)

    on_connection(url, run)


def bring(recipe: str, source: str, service: Service) -> str:
    """Import by a recipe of the guide, without a rejection. Return what was reported."""
    return bring_by(RECIPES[recipe], source, service)


def bring_by(query: str, source: str, service: Service) -> str:
    assert HEADER is not None
    rows = [row[0] for row in fetch(source, query)]
    lines = [HEADER[1], *rows]
    result = command(
        *("import", "-", "--json"),
        typed="\n".join(lines),
        DATABASE_URL=service.database_url,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["new"] == len(rows)
    return result.stderr


def test_users_of_better_auth_log_in_with_their_passwords(
    service: Service, client: httpx.Client, other_system: str
) -> None:
    load(other_system, (HERE / "better-auth.sql").read_text(encoding="utf-8"))
    bring("better-auth", other_system, service)
    assert identities_in(service) == {("git@example.org", "https://github.com", "42")}
    for name in ("alice", "Alice@example.org"):
        client.cookies.clear()
        response = log_in(client, name, password="correct horse battery staple")
        user = response.json()["user"]
        assert (user["username"], user["email"]) == ("Alice", "alice@example.org")
        assert user["email_verified_at"] is not None
        assert user["metadata"] == {"name": "Alice"}
    client.cookies.clear()
    for spelling in ("ﬁancé Å① and more", "fiancé Å1 and more"):
        response = log_in(client, "jane.doe@example.org", password=spelling)
        assert response.json()["user"]["email_verified_at"] is None
        client.cookies.clear()
    assert log_in(client, "git@example.org", password="null").status_code == 401
    assert log_in(client, "mallory@example.org", password="not the right one").status_code == 401


def test_users_of_django_log_in_with_their_passwords(
    service: Service, client: httpx.Client, other_system: str
) -> None:
    load(other_system, (HERE / "django.sql").read_text(encoding="utf-8"))
    bring("django", other_system, service)
    user = log_in(client, "alice", password="correct horse battery staple").json()["user"]
    assert (user["email"], user["roles"]) == ("alice@example.org", ["editors"])
    assert user["email_verified_at"] is None
    client.cookies.clear()
    root = log_in(client, "root", password="ﬁancé Å① and more").json()["user"]
    assert root["roles"] == []
    client.cookies.clear()
    disabled = log_in(client, "mallory", password="an entirely different one")
    assert problem(disabled) == (403, "account_disabled")
    assert log_in(client, "carol", password="").status_code == 400
    assert log_in(client, "carol", password="!").status_code == 401


def test_users_of_django_keep_their_accounts_at_providers(
    service: Service, other_system: str
) -> None:
    load(other_system, (HERE / "django.sql").read_text(encoding="utf-8"), ALLAUTH_TABLES)
    before = "    'keys'"
    assert RECIPES["django"].count(before) == 1
    query = RECIPES["django"].replace(before, RECIPES["django-allauth"] + before)
    bring_by(query, other_system, service)
    google = "https://accounts.google.com"
    assert {each for each in identities_in(service) if "@" not in each[0]} == {
        ("Alice", google, "110169484474386276334"),
        ("root", "https://github.com", "42"),
    }
    times = fetch(service.database_url, "SELECT created_at, last_used_at FROM identity")
    assert {(row["created_at"].year, row["last_used_at"].year) for row in times} == {(2020, 2026)}


def test_users_of_keycloak_log_in_with_their_passwords(
    service: Service, client: httpx.Client, other_system: str
) -> None:
    load(other_system, KEYCLOAK_TABLES, KEYCLOAK_IDENTITIES)

    async def insert(connection: Connection) -> None:
        for number, each in enumerate(OTHERS["keycloak"]["vectors"]):
            await connection.execute(
                "INSERT INTO user_entity VALUES ($1, $2, true, true, 'r1', $3, 1577836800000)",
                *(f"user-{number}", f"{number}@example.org", f"user{number}"),
            )
            await connection.execute(
                "INSERT INTO credential VALUES ($1, 'password', $1, $2, $3)",
                *(f"user-{number}", each["secret_data"], each["credential_data"]),
            )
        await connection.execute(
            "INSERT INTO user_entity VALUES ('x', NULL, false, true, 'r2', 'mallory', 0)"
        )

    on_connection(other_system, insert)
    bring("keycloak", other_system, service)
    stored = fetch(
        service.database_url, "SELECT name, password_hash FROM key WHERE provider = 'username'"
    )
    assert {row["name"]: row["password_hash"] for row in stored} == {
        f"user{number}": text for number, (_, text) in enumerate(KEYCLOAK)
    }
    assert {each for each in identities_in(service) if "@" not in each[0]} == {
        ("user0", "https://accounts.google.com", "110169484474386276334"),
        ("user0", "https://github.com", "42"),
        ("user0", "https://login.corp.example/realms/a", "7"),
        ("user0", "https://ghe.corp.example", "42"),
        ("user1", "https://login.corp.example/realms/a", "8"),
    }
    for number, (password, _) in list(enumerate(KEYCLOAK))[-2:]:
        client.cookies.clear()
        assert log_in(client, f"user{number}", password=password).status_code == 200
