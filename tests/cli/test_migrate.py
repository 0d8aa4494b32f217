"""`ostiary migrate`, as an operator runs it."""

from __future__ import annotations

import pytest

from tests.cli.running import run
from tests.databases import fetch_value
from tests.proxy import Proxy


@pytest.mark.parametrize("by", ["option", "setting"])
def test_migrate_waits_for_a_database_that_is_not_there_yet(database_url: str, by: str) -> None:
    arguments = ["--wait", "1h"] if by == "option" else []
    settings = {"OSTIARY_DATABASE_WAIT": "1h"} if by == "setting" else {}
    with Proxy(database_url).running() as proxy:
        # A connection is refused with TLS, and then without.
        proxy.refuse(times=2)
        result = run("migrate", *arguments, DATABASE_URL=proxy.url, **settings)
    assert result.returncode == 0, result.stderr
    assert proxy.connections > 2


def test_without_waiting_a_database_that_is_not_there_is_reported(database_url: str) -> None:
    with Proxy(database_url).running() as proxy:
        proxy.refuse()
        result = run("migrate", DATABASE_URL=proxy.url)
    assert result.returncode == 1
    assert result.stderr.startswith("The database is unavailable: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("wait", ["60", "0s", "soon"])
def test_a_wrong_time_to_wait_is_reported(wait: str) -> None:
    result = run("migrate", "--wait", wait)
    assert result.returncode == 2
    assert "must look like 90s" in result.stderr


@pytest.mark.parametrize("revision", ["", "9999", "head-1"])
def test_a_revision_that_does_not_exist_is_reported(database_url: str, revision: str) -> None:
    result = run("migrate", "--to", revision, DATABASE_URL=database_url)
    assert result.returncode == 1
    assert result.stderr == f"This version has no such revision: {revision}\n"


def test_privileges_are_granted_on_the_newest_schema_only(database_url: str) -> None:
    """And nothing is migrated before that is said."""
    result = run("migrate", "--to", "base", "--grant-to", "anybody", DATABASE_URL=database_url)
    assert result.returncode == 2
    assert "--grant-to" in result.stderr
    assert fetch_value(database_url, "SELECT count(*) FROM alembic_version") == 1
