"""``ostiary user disable``, ``enable``, ``roles``, ``metadata`` and ``list`` by the beginning."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.cli.running import run
from tests.cli.test_user import refusal, user, user_json
from tests.factories import log_in, sign_up
from tests.services import Service


def test_a_disabled_user_is_shut_out_and_an_enabled_one_logs_in_again(
    service: Service, client: httpx.Client
) -> None:
    url = service.database_url
    sign_up(client)
    assert "Alice is disabled" in user(url, "disable", "ALICE", "--reason", "Not paid.")
    assert client.get("/me").status_code == 401
    assert log_in(client).json()["code"] == "account_disabled"
    assert ": Not paid." in user(url, "show", "Alice")
    assert user_json(url, "show", "Alice")["disabled_reason"] == "Not paid."
    assert "Alice is enabled" in user(url, "enable", "Alice")
    assert "state          enabled" in user(url, "show", "Alice")
    assert client.get("/me").status_code == 401
    client.cookies.clear()
    assert log_in(client).status_code == 200


def test_roles_are_given_and_taken_away(service: Service, client: httpx.Client) -> None:
    url = service.database_url
    sign_up(client)
    assert user(url, "roles", "Alice") == "no roles\n"
    assert user(url, "roles", "Alice", "--add", "b", "--add", "a") == "a b\n"
    assert user(url, "roles", "Alice", "--add", "c", "--remove", "b") == "a c\n"
    assert client.get("/me").json()["user"]["roles"] == ["a", "c"]
    assert "roles          a c" in user(url, "show", "Alice")
    assert user_json(url, "roles", "Alice", "--set", "d") == {"roles": ["d"]}
    assert user(url, "roles", "Alice", "--clear") == "no roles\n"
    assert "A role has" in refusal(url, "roles", "Alice", "--add", "Not a role")


def test_metadata_is_merged(service: Service, client: httpx.Client) -> None:
    url = service.database_url
    sign_up(client)
    assert user(url, "metadata", "Alice") == "{}\n"
    assert user(url, "metadata", "Alice", "--merge", '{"a": 1, "b": {"c": 2}}')
    shown = json.loads(user(url, "metadata", "Alice", "--merge", '{"a": null}'))
    assert shown == client.get("/me").json()["user"]["metadata"] == {"b": {"c": 2}}
    assert "numbers beyond" in refusal(
        url, "metadata", "Alice", "--merge", '{"a": 9007199254740993}'
    )


def test_metadata_that_cannot_be_kept_is_refused_even_where_it_removes(
    service: Service, client: httpx.Client
) -> None:
    """As in a request: what is to be removed has a name that cannot be there."""
    sign_up(client)
    refused = refusal(service.database_url, "metadata", "Alice", "--merge", r'{"\u0000": null}')
    assert "must not contain U+0000" in refused


@pytest.mark.parametrize(
    "arguments",
    [
        ("metadata", "Alice", "--merge", "[]"),
        ("metadata", "Alice", "--merge", "{"),
        ("metadata", "Alice", "--merge", '{"a":' * 3000),
        ("roles", "Alice", "--add", "a", "--set", "b"),
        ("roles", "Alice", "--clear", "--set", "b"),
        ("disable", "Alice", "--reason", ""),
        ("disable", "Alice", "--reason", "x" * 501),
        ("list", "--username-prefix", "a", "--email-prefix", "a"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    database_url: str, arguments: tuple[str, ...]
) -> None:
    result = run("user", *arguments, DATABASE_URL=database_url)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_users_are_listed_by_the_beginning_of_a_name(
    service: Service, client: httpx.Client
) -> None:
    for name in ("Alina", "Bobby", "Alice"):
        client.cookies.clear()
        sign_up(client, name)
    listed = user(service.database_url, "list", "--username-prefix", "AL").splitlines()
    assert [line.split()[1] for line in listed] == ["Alice", "Alina"]
    assert user(service.database_url, "list", "--email-prefix", "al") == ""


def test_what_an_operator_changes_is_recorded(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    done = run("user", "roles", "Alice", "--add", "a", DATABASE_URL=service.database_url)
    assert "roles_changed" in done.stderr
    assert "by=operator" in done.stderr
