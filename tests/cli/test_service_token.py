"""`ostiary service-token`, as an operator runs it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from subprocess import CompletedProcess
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from service.auth.programs import service_token_admin
from service.auth.programs.presented_tokens import PresentedToken
from service.model.service_tokens import Scope
from tests.cli.running import run
from tests.databases import execute, fetch
from tests.factories import bearer, service_token
from tests.services import Service


class Operator:
    """Runs subcommands on one database."""

    def __init__(self, database_url: str) -> None:
        self.database_url = database_url

    def __call__(self, *arguments: str) -> CompletedProcess[str]:
        return run("service-token", *arguments, DATABASE_URL=self.database_url)

    def made(self, *arguments: str) -> dict[str, Any]:
        """Return what a subcommand prints as JSON."""
        result = self(*arguments, "--json")
        assert result.returncode == 0, result.stderr
        made: dict[str, Any] = json.loads(result.stdout)
        return made

    def audited(self, *arguments: str) -> tuple[dict[str, Any], CompletedProcess[str]]:
        """Return the one event of a subcommand, and its result.

        The log of a command goes to standard error, if its level is that of the events.
        """
        settings = {"OSTIARY_LOG_FORMAT": "json", "OSTIARY_LOG_LEVEL": "info"}
        result = run("service-token", *arguments, DATABASE_URL=self.database_url, **settings)
        assert result.returncode == 0, result.stderr
        (event,) = (json.loads(line) for line in result.stderr.splitlines() if "audit" in line)
        return event, result

    def listed(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self("list", "--json").stdout.splitlines()]


@pytest.fixture
def operator(service: Service) -> Operator:
    return Operator(service.database_url)


def status(client: httpx.Client, token: str) -> int:
    return client.post("/introspect", data={"token": "x"}, headers=bearer(token)).status_code


def test_a_created_token_works_and_is_shown_once(operator: Operator, client: httpx.Client) -> None:
    result = operator("create", "shop", "--scope", "introspect", "--scope", "users:read")
    token = result.stdout.removesuffix("\n")

    assert status(client, token) == 200
    assert "shop has the id" in result.stderr
    assert token not in result.stderr
    shown = operator("list").stdout + operator("list", "--json").stdout
    secret = token[26:69]
    assert secret not in shown
    (row,) = fetch(operator.database_url, "SELECT * FROM service_token")
    assert secret not in str(dict(row))
    assert secret.encode() != row["secret_hash"]


def test_a_token_expires_after_a_year_unless_said_otherwise(operator: Operator) -> None:
    usual = operator.made("create", "usual", "--scope", "introspect")
    short = operator.made("create", "short", "--scope", "introspect", "--expires-in", "90s")
    for made, lifetime in ((usual, timedelta(days=365)), (short, timedelta(seconds=90))):
        created, expires = map(datetime.fromisoformat, (made["created_at"], made["expires_at"]))
        assert expires - created == lifetime


def test_what_is_listed_tells_the_scopes_the_state_and_the_last_use(operator: Operator) -> None:
    url, used = operator.database_url, datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    long_ago = datetime.now(UTC) - timedelta(days=1)
    service_token(url, "introspect", "users:read", name="valid", last_used_at=used)
    service_token(url, "introspect", name="expired", expires_at=long_ago)
    service_token(url, "introspect", name="suspended", suspended_at=long_ago)

    listed = {each["name"]: each for each in operator.listed()}

    assert {name: each["state"] for name, each in listed.items()} == {
        "valid": "valid",
        "expired": "expired",
        "suspended": "suspended",
    }
    assert listed["valid"]["scopes"] == ["introspect", "users:read"]
    assert listed["valid"]["last_used_at"].startswith("2026-01-31T09:30")
    lines = operator("list").stdout.splitlines()
    assert len(lines) == 3
    assert any("valid" in line and "2026-01-31 09:30:00 UTC" in line for line in lines)
    assert any("expired" in line and "never" in line for line in lines)


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_token_is_revoked_by_its_name_or_its_id(
    operator: Operator, client: httpx.Client, by: str
) -> None:
    made = operator.made("create", "shop", "--scope", "introspect")
    other = operator.made("create", "other", "--scope", "introspect")
    assert status(client, made["token"]) == 200

    result = operator("revoke", made[by])

    assert (result.returncode, result.stdout) == (0, "shop was revoked.\n")
    assert status(client, made["token"]) == 401
    assert status(client, other["token"]) == 200
    again = operator("revoke", made[by])
    assert again.returncode == 1
    assert again.stderr == "There is no service token with that name or id.\n"


def test_a_suspended_token_works_once_it_is_confirmed(
    operator: Operator, client: httpx.Client
) -> None:
    made = [operator.made("create", name, "--scope", "introspect") for name in ("a", "b", "c")]
    execute(operator.database_url, "UPDATE service_token SET suspended_at = now()")
    assert [status(client, each["token"]) for each in made] == [401, 401, 401]

    assert operator("confirm", "b").stdout == "Confirmed: b.\n"
    assert [status(client, each["token"]) for each in made] == [401, 200, 401]
    assert operator("confirm", made[0]["id"]).stdout == "Confirmed: a.\n"
    assert operator("confirm", "--all").stdout == "Confirmed: c.\n"
    assert [status(client, each["token"]) for each in made] == [200, 200, 200]
    assert operator("confirm", "--all").stdout == "Confirmed: none.\n"
    assert operator("confirm", "nobody").returncode == 1


@pytest.mark.parametrize("arguments", [[], ["shop", "--all"]])
def test_confirm_needs_one_token_or_all(operator: Operator, arguments: list[str]) -> None:
    result = operator("confirm", *arguments)
    assert result.returncode == 2
    assert "Name one token, or give --all." in result.stderr


def test_an_unknown_scope_is_refused_with_the_list(operator: Operator) -> None:
    result = operator("create", "shop", "--scope", "introspect", "--scope", "users:delete")
    assert result.returncode == 2
    for scope in Scope:
        assert f"'{scope}'" in result.stderr
    assert operator.listed() == []


def test_a_token_needs_a_scope(operator: Operator) -> None:
    assert operator("create", "shop").returncode == 2


@pytest.mark.parametrize("lifetime", ["1826d", "0s", "-1d", "forever", "1e3d"])
def test_no_token_is_valid_for_more_than_five_years(operator: Operator, lifetime: str) -> None:
    result = operator("create", "shop", "--scope", "introspect", f"--expires-in={lifetime}")
    assert result.returncode == 2
    assert "--expires-in" in result.stderr


@pytest.mark.parametrize(
    "name", ["", "1shop", "a shop", "shöp", "shop\n", "a" * 65, str(UUID(int=2**128 - 1)), "a/b"]
)
def test_a_name_that_could_be_mistaken_is_refused(operator: Operator, name: str) -> None:
    result = operator("create", name, "--scope", "introspect")
    assert result.returncode == 2
    assert "Name must have at most 64 letters" in result.stderr


def test_a_name_is_given_once(operator: Operator) -> None:
    """Until the token is revoked: also that of an expired one."""
    long_ago = datetime.now(UTC) - timedelta(days=1)
    service_token(operator.database_url, "introspect", name="shop", expires_at=long_ago)
    refused = operator("create", "shop", "--scope", "introspect")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "revoke it first" in refused.stderr
    operator("revoke", "shop")
    assert operator("create", "shop", "--scope", "introspect").returncode == 0


def test_there_are_at_most_a_thousand_tokens(operator: Operator) -> None:
    execute(
        operator.database_url,
        """INSERT INTO service_token (id, name, secret_hash, scopes, expires_at)
        SELECT gen_random_uuid(), 't' || n, '', '{}', now() FROM generate_series(1, $1) AS n""",
        service_token_admin.MAX_TOKENS,
    )
    refused = operator("create", "shop", "--scope", "introspect")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "There are 1,000 service tokens: revoke some first.\n"
    operator("revoke", "t7")
    assert operator("create", "shop", "--scope", "introspect").returncode == 0


def test_what_is_done_to_tokens_is_in_the_audit_trail(operator: Operator) -> None:
    created, shop = operator.audited(
        "create", "shop", "--scope", "users:read", "--scope", "introspect"
    )
    confirmed, _ = operator.audited("confirm", "shop")
    execute(operator.database_url, "UPDATE service_token SET suspended_at = now()")
    all_confirmed, _ = operator.audited("confirm", "--all")
    revoked, _ = operator.audited("revoke", "shop")
    token = PresentedToken.parse(shop.stdout.splitlines()[0])
    assert token is not None
    for event, kind in (
        (created, "created"),
        (confirmed, "confirmed"),
        (all_confirmed, "confirmed"),
        (revoked, "revoked"),
    ):
        assert (event["event"], event["by"]) == (f"service_token_{kind}", "operator")
        assert (event["name"], event["scopes"]) == ("shop", "introspect users:read")
        assert event["service_token_id"] == str(token.id)
    assert token.text not in shop.stderr


def test_every_one_of_three_hundred_tokens_works(service: Service, client: httpx.Client) -> None:
    for _ in range(300):
        assert status(client, service_token(service.database_url, Scope.INTROSPECT)) == 200


def test_no_command_shows_a_traceback_for_what_is_not_there(operator: Operator) -> None:
    for arguments in (["revoke", str(uuid4())], ["confirm", "x\x1b[31m"], ["revoke", ""]):
        result = operator(*arguments)
        assert result.returncode == 1
        assert re.search(r"Traceback|\x1b", result.stdout + result.stderr) is None
