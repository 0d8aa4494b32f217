"""``ostiary settings``, and the options of ``ostiary serve``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service.settings.variables import variables
from tests.cli.running import run
from tests.test_settings import MAIL, SECRETS


def rows(**environment: str) -> dict[str, tuple[str, str]]:
    """Return the value and the source of each setting."""
    result = run("settings", "--json", **environment)
    assert result.returncode == 0, result.stderr
    return {each["name"]: (each["value"], each["source"]) for each in json.loads(result.stdout)}


def test_all_settings_are_listed_with_the_values_in_use() -> None:
    listed = rows(OSTIARY_PORT="9000", OSTIARY_ENV="", OSTIARY_HASH_PROCESSES="3")
    assert list(listed) == [each.name for each in variables()]
    assert listed["OSTIARY_PORT"] == ("9000", "environment")
    assert listed["OSTIARY_ENV"] == ("development", "default")
    assert listed["OSTIARY_HASH_PROCESSES"] == ("3", "environment")
    assert listed["OSTIARY_LOG_FORMAT"] == ("text", "default")
    assert listed["OSTIARY_SESSION_ACTIVE_PERIOD"] == ("1d", "default")


PASSKEYS = ("OSTIARY_PASSKEY_RP_ID", "OSTIARY_PASSKEY_RP_NAME", "OSTIARY_PASSKEY_ORIGINS")


def test_the_relying_party_is_listed_as_it_is_in_use() -> None:
    listed = rows(OSTIARY_PORT="9000")
    assert [listed[each] for each in PASSKEYS] == [
        ("localhost", "default"),
        ("localhost", "default"),
        ("http://localhost:9000,https://localhost", "default"),
    ]
    listed = rows(OSTIARY_PASSKEY_RP_ID="example.com")
    assert [listed[each] for each in PASSKEYS] == [
        ("example.com", "environment"),
        ("example.com", "default"),
        ("https://example.com", "default"),
    ]
    listed = rows(OSTIARY_ENV="production", DATABASE_URL="postgresql://db/ostiary")
    assert [listed[each] for each in PASSKEYS] == [("", "default")] * 3


def test_secrets_are_hidden(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    for secret in [each.name for each in variables() if each.is_secret]:
        file.write_text(SECRETS[secret])
        for name, text in ((secret, file.read_text()), (f"{secret}_FILE", str(file))):
            result = run("settings", **{**MAIL, "OSTIARY_SECRET_KEYS": "", name: text})
            assert SECRETS[secret] not in result.stdout + result.stderr
            assert "sesame" not in result.stdout + result.stderr
            source = name if name.endswith("_FILE") else "environment"
            assert [line.split() for line in result.stdout.splitlines() if secret in line] == [
                [secret, source, "(hidden)"]
            ]


def test_a_service_link_is_ignored_with_a_warning() -> None:
    result = run("settings", OSTIARY_PORT="tcp://10.0.0.7:8000", OSTIARY_SERVICE_HOST="10.0.0.7")
    assert ["OSTIARY_PORT", "default", "8000"] in [
        line.split() for line in result.stdout.splitlines()
    ]
    assert "service_links_ignored" in result.stderr
    assert "OSTIARY_SERVICE_HOST" in result.stderr


@pytest.mark.parametrize("option", ["port", "workers"])
def test_an_option_of_serve_takes_precedence_over_its_variable(option: str) -> None:
    """Its value is refused in the name of the option."""
    result = run("serve", f"--{option}", "x", **{f"OSTIARY_{option.upper()}": "1"})
    assert result.returncode == 1
    assert f"  --{option}: must be a whole number from 1 to" in result.stderr


def test_the_host_is_an_option_of_serve(database_url: str) -> None:
    options = ("--host", "192.0.2.1", "--port", "9000")
    result = run("serve", *options, DATABASE_URL=database_url, OSTIARY_HOST="127.0.0.1")
    assert result.returncode == 1
    assert "Cannot listen on 192.0.2.1:9000" in result.stderr


def test_the_help_of_serve_says_where_the_settings_are() -> None:
    shown = run("serve", "--help").stdout
    assert "`ostiary settings`" in shown
    assert "docs/settings.md" in shown
