"""Export and import lose nothing, either way."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings

from tests.databases import ERASE, execute, fetch_value
from tests.transfer.conftest import export_file, file_of, import_file, rows_of
from tests.transfer.users import users


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(made=users())
def test_what_was_exported_imported_and_exported_is_the_same_byte_for_byte(
    database_url: str, made: list[dict[str, Any]]
) -> None:
    execute(database_url, ERASE)
    first = import_file(database_url, file_of(*made))
    assert (first.rejected, first.counts.new) == ({}, len(made))
    exported = export_file(database_url, with_secrets=True)
    # Nothing was lost by the import either.
    assert rows_of(exported) == made
    execute(database_url, ERASE)
    assert import_file(database_url, exported).counts.new == len(made)
    assert export_file(database_url, with_secrets=True) == exported
    # Without the secrets, the apps remain, and are still there after the next import.
    without = export_file(database_url)
    assert b'"secret"' not in without
    execute(database_url, ERASE)
    import_file(database_url, without)
    assert export_file(database_url) == without
    apps = sum(each["totp"] is not None for each in made)
    assert fetch_value(database_url, "SELECT count(*) FROM totp") == apps
    assert fetch_value(database_url, "SELECT count(*) FROM sealed_secret") == 0


def test_metadata_that_postgresql_writes_in_another_way_comes_back(database_url: str) -> None:
    """Numbers without their exponents, and a text that looks like an escape sequence."""
    metadata = {"large": 1e15, "small": [1e-300, 5e-324], "text": r"\u0000"}
    first = import_file(database_url, file_of({"id": "a", "metadata": metadata}))
    assert first.rejected == {}
    exported = export_file(database_url)
    execute(database_url, ERASE)
    assert import_file(database_url, exported).rejected == {}
    assert export_file(database_url) == exported
    assert rows_of(exported)[0]["metadata"] == metadata
