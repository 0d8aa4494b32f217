"""Users who were moved log in with their accounts at providers as before."""

from __future__ import annotations

import json
from pathlib import Path

from service.transfer.user_ids import user_id_of
from tests.cli.test_import_lucia import KEYS, USERS, made
from tests.databases import ERASE, execute
from tests.flows.conftest import command
from tests.identities.conftest import NEEDED, App, problem
from tests.oidc.stub_provider import StubProvider
from tests.services import Service


def run(service: Service, *arguments: str, typed: str = "") -> str:
    """Run a command, which must succeed. Return its output."""
    result = command(*arguments, typed=typed, DATABASE_URL=service.database_url)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_an_account_that_was_exported_and_imported_logs_its_user_in(
    app: App, service: Service
) -> None:
    user = app.sign_up(username="Alice").json()["user"]
    exported = run(service, "export", "-")
    execute(service.database_url, ERASE)
    assert problem(app.log_in()) == NEEDED
    imported = run(service, "import", "-", "--json", typed=exported)
    assert json.loads(imported)["rejected"] == 0
    assert app.log_in().json()["user"] == user
    assert problem(app.log_in("8")) == NEEDED


def test_an_account_of_a_user_of_lucia_logs_them_in(
    app: App, service: Service, provider: StubProvider, tmp_path: Path
) -> None:
    source = made(tmp_path / "lucia.db", user=USERS[:1], key=[KEYS[0], ("stub:7", None, "u1alice")])
    issuer = f"stub={provider.issuer}"
    run(service, "import-lucia", "--source", source, "--issuer", issuer)
    user = app.log_in().json()["user"]
    assert (user["id"], user["username"]) == (str(user_id_of("u1alice")), "Alice")
    (identity,) = json.loads(run(service, "user", "show", "Alice", "--json"))["identities"]
    assert (identity["issuer"], identity["subject"]) == (provider.issuer, "7")
    assert identity["last_used_at"] is not None
