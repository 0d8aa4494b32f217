"""`ostiary secret-key`, as an operator runs it."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import uuid4

from service.auth.secret_keys import KeyPurpose, Keyring
from service.model.sealed_secrets import SealedSecret
from service.settings.database import DatabaseOptions
from service.settings.secret_keys import SecretKeys
from service.storage import sealed_secrets as storage
from service.storage.database import Database
from tests.cli.running import run
from tests.databases import execute, fetch, fetch_value

K1 = f"k1:{b64encode(bytes(range(32))).decode()}"
K2 = f"k2:{b64encode(bytes(range(1, 33))).decode()}"


def on_database(url: str, work: Callable[[Database], Coroutine[Any, Any, None]]) -> None:
    async def run_work() -> None:
        database = Database(url, DatabaseOptions())
        await work(database)
        await database.close()

    asyncio.run(run_work())


def add_sealed(url: str, keys: str, number: int = 1) -> None:
    ring = Keyring(SecretKeys.parse(keys))

    async def add(database: Database) -> None:
        for _ in range(number):
            row = uuid4()
            sealed = ring.seal(KeyPurpose.TOTP_SECRET, row, b"secret")
            secret = SealedSecret(id=row, purpose=KeyPurpose.TOTP_SECRET, sealed=sealed)
            async with database.connect() as connection:
                await storage.add_sealed_secret(connection, secret)

    on_database(url, add)


def key_ids(url: str) -> list[str]:
    return [row[0] for row in fetch(url, "SELECT key_id FROM sealed_secret ORDER BY key_id")]


def test_a_new_key_is_an_entry_of_the_setting() -> None:
    first, second = run("secret-key", "new"), run("secret-key", "new", "autumn-2026")
    assert first.returncode == second.returncode == 0
    keys = SecretKeys.parse(f"{second.stdout.strip()},{first.stdout.strip()}")
    assert keys[0].id == "autumn-2026"
    assert keys[0].secret != keys[1].secret


def test_a_key_can_be_made_before_anything_is_set() -> None:
    result = run("secret-key", "new", OSTIARY_ENV="production", OSTIARY_SECRET_KEYS="")
    assert result.returncode == 0


def test_a_key_cannot_have_any_id() -> None:
    result = run("secret-key", "new", "Not An Id")
    assert result.returncode == 2
    assert "an id of at most 32" in result.stderr


def test_keys_are_rotated_with_the_command(database_url: str) -> None:
    def secret_key(*arguments: str, keys: str) -> Any:
        result = run(
            "secret-key", *arguments, "--json", DATABASE_URL=database_url, OSTIARY_SECRET_KEYS=keys
        )
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    add_sealed(database_url, K1, 3)
    rotating = f"{K2},{K1}"
    assert secret_key("status", keys=rotating) == [
        {"key_id": "k2", "sealed_secrets": 0, "derived_until": None},
        {"key_id": "k1", "sealed_secrets": 3, "derived_until": None},
    ]
    add_sealed(database_url, rotating)
    assert key_ids(database_url) == ["k1", "k1", "k1", "k2"]
    assert secret_key("reseal", keys=rotating) == {"resealed": 3}
    assert key_ids(database_url) == ["k2"] * 4
    assert [each["key_id"] for each in secret_key("status", keys=K2)] == ["k2"]


def test_the_status_tells_when_the_last_code_of_a_key_expires(database_url: str) -> None:
    execute(
        database_url,
        "INSERT INTO challenge (id, purpose, key_id, expires_at) VALUES "
        "(gen_random_uuid(), 'sign_up', 'k1', '2100-01-01T00:00:00Z'), "
        "(gen_random_uuid(), 'sign_up', 'k2', now() - interval '1 s')",
    )
    result = run("secret-key", "status", DATABASE_URL=database_url, OSTIARY_SECRET_KEYS=K2)
    assert result.stdout.splitlines() == [
        "k2  newest  0 sealed secrets  codes and links until -",
        "k1  missing  0 sealed secrets  codes and links until 2100-01-01 00:00:00 UTC",
    ]


def test_a_missing_key_stops_the_start_and_is_told_with_the_number_of_rows(
    database_url: str,
) -> None:
    add_sealed(database_url, K1, 2)
    result = run("serve", DATABASE_URL=database_url, OSTIARY_SECRET_KEYS=K2)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "OSTIARY_SECRET_KEYS lacks the key k1, which has sealed 2 secrets."
    ]


def test_what_cannot_be_resealed_is_an_error(database_url: str) -> None:
    add_sealed(database_url, K1, 2)
    result = run("secret-key", "reseal", DATABASE_URL=database_url, OSTIARY_SECRET_KEYS=K2)
    assert result.returncode == 1
    assert "lacks the key k1, which has sealed 2 secrets" in result.stderr


def test_forgetting_asks_and_spares_keys_in_use(database_url: str) -> None:
    add_sealed(database_url, K1, 2)
    forget = ["secret-key", "forget", "k1"]
    refused = run(*forget, typed="n\n", DATABASE_URL=database_url, OSTIARY_SECRET_KEYS=K2)
    assert refused.returncode == 1
    assert "Delete 2 secrets that the key k1 has sealed?" in refused.stderr
    in_use = run(*forget, "--yes", DATABASE_URL=database_url, OSTIARY_SECRET_KEYS=K1)
    assert in_use.returncode == 1
    assert "reseal" in in_use.stderr
    assert fetch_value(database_url, "SELECT count(*) FROM sealed_secret") == 2
    forgotten = run(*forget, "--yes", DATABASE_URL=database_url, OSTIARY_SECRET_KEYS=K2)
    assert forgotten.stdout == "2 secrets were deleted.\n"
    assert fetch_value(database_url, "SELECT count(*) FROM sealed_secret") == 0


def test_development_generates_a_key_in_the_data_directory(
    database_url: str, tmp_path: Path
) -> None:
    variables = {
        "DATABASE_URL": database_url,
        "OSTIARY_SECRET_KEYS": "",
        "OSTIARY_DATA_DIR": str(tmp_path / "data"),
    }
    results = [run("secret-key", "status", "--json", **variables) for _ in range(2)]
    assert [json.loads(each.stdout)[0]["key_id"] for each in results] == ["development"] * 2
    assert "secret_key_generated" in results[0].stderr
    assert results[1].stderr == ""
    assert (tmp_path / "data" / "secret_keys").exists()
