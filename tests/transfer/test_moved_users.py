"""Users who were moved log in as before, and nothing that protected them is lost."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.storage.connection import ADMIN_TIMEOUTS
from service.storage.transfer.pages import snapshot
from tests.auth.test_legacy_hashes import BETTER_AUTH, DJANGO, KEYCLOAK
from tests.cli.running import run
from tests.databases import ERASE, execute, fetch, fetch_value
from tests.factories import log_in
from tests.factors.conftest import Owner, methods_of, problem
from tests.factors.passkeys import add_passkey, browser, log_in_by_passkey
from tests.flows.conftest import command
from tests.services import Service
from tests.transfer.conftest import file_of, import_file, rows_of

REQUIRED = (401, "second_factor_required")


def exported(service: Service, *options: str) -> bytes:
    """Return what ``ostiary export`` writes to its output."""
    result = command("export", "-", *options, DATABASE_URL=service.database_url)
    assert result.returncode == 0, result.stderr
    return result.stdout.encode()


def imported(service: Service, file: bytes, *options: str) -> dict[str, Any]:
    """Import a file from the input. Return the result."""
    result = command(
        *("import", "-", "--json", *options),
        typed=file.decode(),
        DATABASE_URL=service.database_url,
    )
    assert result.returncode in {0, 3}, result.stderr
    counts: dict[str, Any] = json.loads(result.stdout)
    return counts


def moved(service: Service, *options: str) -> None:
    """Export all users, empty the database, and import them again."""
    file = exported(service, *options)
    execute(service.database_url, ERASE)
    counts = imported(service, file)
    assert counts["rejected"] == 0
    assert counts["new"] >= 1


@pytest.mark.parametrize(
    ("password", "password_hash"),
    [DJANGO[0], KEYCLOAK[-1], BETTER_AUTH[0], BETTER_AUTH[2]],
    ids=["Django", "Keycloak", "Better Auth", "Better Auth, NFKC"],
)
def test_a_user_of_another_system_logs_in_and_gets_a_hash_of_ours(
    service: Service, client: httpx.Client, password: str, password_hash: str
) -> None:
    name = {"provider": "email", "name": "Jane@example.org", "password_hash": password_hash}
    row = {"id": "Kx9", "keys": [name], "roles": ["editor"], "metadata": {"plan": "free"}}
    import_file(service.database_url, file_of(row))
    assert log_in(client, "jane@example.org", password="wrong one").status_code == 401
    for _ in range(2):
        client.cookies.clear()
        response = log_in(client, "jane@example.org", password=password)
        assert response.status_code == 200, response.text
        user = response.json()["user"]
        assert (user["roles"], user["metadata"]) == (["editor"], {"plan": "free"})
        assert user["email_verified_at"] is None
        stored = fetch_value(service.database_url, "SELECT password_hash FROM key")
        assert stored.startswith("$argon2id$")


def test_an_app_goes_on_if_its_secret_is_moved(service: Service, alice: Owner) -> None:
    moved(service, "--with-secrets")
    used = "SELECT last_step > 0 FROM totp"
    assert fetch_value(service.database_url, used)
    response = alice.complete(alice.challenge(), alice.phone.next_code())
    assert methods_of(response) == ["password", "totp"]


def test_an_app_whose_secret_is_not_moved_is_asked_for_and_opens_nothing(
    service: Service, alice: Owner
) -> None:
    moved(service)
    response = log_in(alice.client, "Alice")
    assert problem(response) == REQUIRED
    challenge = response.json()["challenge_token"]
    assert alice.complete(challenge, alice.phone.next_code()).status_code == 401
    # The recovery codes have moved too.
    recovered = alice.complete(alice.challenge(), alice.recovery_codes[0], "recovery_code")
    assert recovered.status_code == 200
    shown = command("user", "factors", "Alice", "--json", DATABASE_URL=service.database_url)
    assert json.loads(shown.stdout)["totp"]["works"] is False


def test_a_passkey_logs_in_after_the_move(
    service: Service, client: httpx.Client, alice: Owner
) -> None:
    device = browser(service)
    add_passkey(client, alice.session, device)
    moved(service)
    assert methods_of(log_in_by_passkey(client, device, transport="bearer")) == ["passkey"]


def test_a_disabled_user_stays_disabled(
    service: Service, client: httpx.Client, alice: Owner
) -> None:
    client.post("/signup", json={"username": "Bobby", "password": alice.password})
    disable = "UPDATE \"user\" SET disabled_at = now(), disabled_reason = 'spam'"
    execute(service.database_url, disable)
    moved(service)
    client.cookies.clear()
    assert problem(log_in(client, "Bobby", password=alice.password)) == (403, "account_disabled")
    reasons = fetch(service.database_url, 'SELECT disabled_reason FROM "user"')
    assert {row["disabled_reason"] for row in reasons} == {"spam"}


def test_no_secret_is_in_a_file_that_was_not_asked_for_them(service: Service, alice: Owner) -> None:
    file = exported(service)
    assert alice.phone.secret.encode() not in file
    assert alice.session["Authorization"].removeprefix("Bearer ").encode() not in file
    for code in alice.recovery_codes:
        assert code.replace("-", "").encode() not in file
    assert alice.phone.secret.encode() in exported(service, "--with-secrets")


def test_a_file_is_its_owners_only_and_the_command_says_so(
    service: Service, alice: Owner, tmp_path: Path
) -> None:
    path = tmp_path / "users.jsonl"
    before = os.umask(0)
    try:
        result = command("export", str(path), "--with-secrets", DATABASE_URL=service.database_url)
    finally:
        os.umask(before)
    assert result.returncode == 0, result.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["users.jsonl"]
    assert result.stdout == ""
    assert f"1 users were exported to {path}, which only its owner can read." in result.stderr
    assert "password hashes and the secrets of authenticator apps" in result.stderr
    assert "users_exported" in result.stderr
    (row,) = rows_of(path.read_bytes())
    assert row["keys"][0]["name"] == "Alice"


def test_no_file_is_overwritten(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "users.jsonl"
    path.write_text("the export of yesterday")
    result = run("export", str(path), DATABASE_URL=database_url)
    assert (result.returncode, result.stderr) == (1, f"{path} exists already.\n")
    assert path.read_text() == "the export of yesterday"


def test_a_link_that_leads_nowhere_is_a_file_that_exists(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "users.jsonl"
    path.symlink_to(tmp_path / "elsewhere")
    result = run("export", str(path), DATABASE_URL=database_url)
    assert (result.returncode, result.stderr) == (1, f"{path} exists already.\n")
    assert [*tmp_path.iterdir()] == [path]


def test_an_export_that_fails_leaves_no_file(database_url: str, tmp_path: Path) -> None:
    execute(database_url, 'INSERT INTO "user" (id) VALUES (gen_random_uuid())')
    execute(
        database_url,
        """INSERT INTO sealed_secret (id, purpose, key_id, ciphertext)
           VALUES ('00000000-0000-0000-0000-000000000001', 'totp_secret', 'lost', 'x');
           INSERT INTO totp (user_id, secret_id, confirmed_at)
           SELECT id, '00000000-0000-0000-0000-000000000001', now() FROM "user" """,
    )
    path = tmp_path / "users.jsonl"
    result = run("export", str(path), "--with-secrets", DATABASE_URL=database_url)
    assert result.returncode == 1
    assert "lost" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []
    assert run("export", str(path), DATABASE_URL=database_url).returncode == 0


def test_rejected_rows_are_told_by_their_lines_and_by_the_exit_code(
    database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "users.jsonl"
    names = [{"provider": "username", "name": "a\u202eb c"}]
    path.write_bytes(file_of(b"{", {"id": "1", "keys": names}, {"id": "2", "x\u202ey": 1}))
    rehearsed = run("import", str(path), "--dry-run", DATABASE_URL=database_url)
    result = run("import", str(path), DATABASE_URL=database_url)
    assert result.returncode == rehearsed.returncode == 3
    assert result.stdout == "3 users were read: 1 new, 0 unchanged, 2 rejected\n"
    assert rehearsed.stdout == result.stdout + "This was a dry run: nothing was changed.\n"
    assert "rejected: line 2: it is not JSON" in result.stderr
    assert "noted: line 3 is imported as it is: Username must not" in result.stderr
    assert "rejected: line 4: object contains unknown field" in result.stderr
    assert "users_imported" in result.stderr
    assert "users_imported" not in rehearsed.stderr
    assert "\u202e" not in result.stderr
    again = run("import", str(path), "--json", DATABASE_URL=database_url)
    assert json.loads(again.stdout) == {
        "dry_run": False,
        "read": 3,
        "new": 0,
        "unchanged": 1,
        "rejected": 2,
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("not an export", "The file cannot be imported: its first line is not "),
        (None, "No such file or directory"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_line(
    database_url: str, tmp_path: Path, content: str | None, reason: str
) -> None:
    path = tmp_path / "users.jsonl"
    if content is not None:
        path.write_text(content)
    result = run("import", str(path), DATABASE_URL=database_url)
    assert result.returncode == 1
    assert reason in result.stderr
    assert "Traceback" not in result.stderr


def test_an_export_is_of_one_moment(service: Service, alice: Owner) -> None:
    """Whoever signs up between two pages is in none of them."""

    async def count_twice() -> tuple[int, int]:
        async with snapshot(service.database_url, ADMIN_TIMEOUTS) as source:
            first = await source.count()
            alice.client.post("/signup", json={"username": "Bobby", "password": alice.password})
            return first, await source.count()

    assert asyncio.run(count_twice()) == (1, 1)
