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
INSERT INTO realm VALUES ('r1', 'my-realm'), ('r2', 'another');
"""


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
    """Import by a recipe, without a rejection. Return what was reported."""
    assert HEADER is not None
    rows = [row[0] for row in fetch(source, RECIPES[recipe])]
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


def test_users_of_keycloak_log_in_with_their_passwords(
    service: Service, client: httpx.Client, other_system: str
) -> None:
    load(other_system, KEYCLOAK_TABLES)

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
    for number, (password, _) in list(enumerate(KEYCLOAK))[-2:]:
        client.cookies.clear()
        assert log_in(client, f"user{number}", password=password).status_code == 200
