"""Backups are made under load, and restored."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.embedded_postgres.account import PROGRAMS
from tests.cli.running import run
from tests.databases import execute, searchable_directory
from tests.factories import PASSWORD, bearer, log_in, sign_up
from tests.faults.load import UnderLoad
from tests.faults.servers import OwnServer
from tests.faults.serving import environment, serving

RESTORED = "restored"


def token_of(answer: httpx.Response) -> str:
    token: str = answer.json()["session"]["token"]
    return token


def status_of(client: httpx.Client, token: str) -> int:
    return client.get("/me", headers=bearer(token)).status_code


@pytest.fixture
def other_server() -> Iterator[OwnServer]:
    """Return a server without data."""
    with searchable_directory() as parent:
        server = OwnServer(parent / "other")
        yield server
        server.stop()


class Users:
    """Users whose sessions and passwords change after the backup."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.kept = token_of(sign_up(client, "Alice", transport="bearer"))
        self.logged_out = token_of(log_in(client, "Alice", transport="bearer"))
        self.changed = token_of(sign_up(client, "Bobby", transport="bearer"))

    def change(self) -> None:
        """Log out, and change a password."""
        client = self._client
        assert client.post("/logout", headers=bearer(self.logged_out)).status_code == 204
        body = {"current_password": PASSWORD, "new_password": "an entirely different one"}
        changed = client.put("/me/password", json=body, headers=bearer(self.changed))
        assert changed.status_code == 200


def require_restored(users: Users, url: str, log: Path) -> None:
    """Check that the sessions and passwords are those of the backup, and end all sessions."""
    tokens = (users.kept, users.logged_out, users.changed)
    with serving(url, log) as service, service.client() as client:
        # As docs/operations.md warns: also those that ended since.
        assert [status_of(client, token) for token in tokens] == [200, 200, 200]
        ended = run("sessions", "end-all", "--yes", **environment(url))
        assert ended.returncode == 0, ended.stderr
        assert [status_of(client, token) for token in tokens] == [401, 401, 401]
        assert log_in(client, "Bobby").status_code == 200


def test_a_dump_is_made_under_load_and_restored(
    server: OwnServer, under_load: UnderLoad, tmp_path: Path
) -> None:
    dump = tmp_path / "ostiary.dump"
    with serving(server.url, tmp_path / "service.log") as service, service.client() as client:
        users = Users(client)
        with under_load("backup by `pg_dump`", service.url) as load:
            command = [str(PROGRAMS / "pg_dump"), "--format=custom", f"--file={dump}", server.url]
            subprocess.run(command, check=True)
        assert load.failures("GET") | load.failures("POST") == {}
        users.change()
    execute(server.admin_url, f"CREATE DATABASE {RESTORED}")
    restored = server.embedded.url(RESTORED)
    command = [str(PROGRAMS / "pg_restore"), "--exit-on-error", f"--dbname={restored}", str(dump)]
    subprocess.run(command, check=True)
    require_restored(users, restored, tmp_path / "restored.log")


def test_a_physical_back_up_is_made_under_load_and_started(
    server: OwnServer, other_server: OwnServer, under_load: UnderLoad, tmp_path: Path
) -> None:
    with serving(server.url, tmp_path / "service.log") as service, service.client() as client:
        users = Users(client)
        with under_load("backup by `pg_basebackup`", service.url) as load:
            other_server.copy(server)
        assert load.failures("GET") | load.failures("POST") == {}
        users.change()
    other_server.start_only()
    require_restored(users, other_server.url, tmp_path / "restored.log")
