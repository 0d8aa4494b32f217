"""The service behind PgBouncer in transaction mode: ``make test-pgbouncer``, on Debian."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.api.test_deadlines import new_session, wait_for_status
from tests.cli.running import run
from tests.cli.test_serve import serving
from tests.databases import execute, locked
from tests.factories import PASSWORD, age_sessions, bearer, log_in, sign_up
from tests.pgbouncer.process import pgbouncer_before
from tests.services import Service, running


@pytest.fixture
def pgbouncer(database_url: str) -> Iterator[str]:
    """Return the URL of a database behind PgBouncer, which has three connections to it."""
    with pgbouncer_before(database_url) as pgbouncer:
        yield pgbouncer.url


@pytest.fixture
def service(pgbouncer: str, database_url: str, tmp_path: Path) -> Iterator[Service]:
    environment = {
        "OSTIARY_DATABASE_PGBOUNCER": "true",
        "OSTIARY_DATABASE_POOL_SIZE": "6",
        "OSTIARY_SIGN_UPS_PER_ADDRESS": "36/1h",
        "OSTIARY_JWT_ISSUER": "https://auth.example.com",
        "OSTIARY_JWT_AUDIENCES": "billing",
    }
    with running(pgbouncer, tmp_path / "service.log", environment) as service:
        service.database_url = database_url
        yield service


def test_all_endpoints_work_through_pgbouncer(service: Service, client: httpx.Client) -> None:
    another = "an entirely different one"
    sign_up(client)
    assert client.get("/me").status_code == 200
    age_sessions(service.database_url, days=2)
    assert client.get("/me").json()["session"]["fresh"] is True
    assert client.get("/readyz").status_code == 200
    assert client.post("/me/token", json={"audience": "billing"}).status_code == 200
    assert len(client.get("/.well-known/jwks.json").json()["keys"]) == 1
    assert log_in(client).status_code == 200
    assert len(client.get("/sessions").json()["sessions"]) == 1
    body = {"current_password": PASSWORD, "new_password": another}
    assert client.put("/me/password", json=body).status_code == 200
    assert client.delete("/sessions").json() == {"ended": 0}
    assert client.post("/logout").status_code == 204
    assert log_in(client, password=another).status_code == 200
    assert client.request("DELETE", "/me", json={"password": another}).status_code == 204


def test_concurrent_clients_do_not_interfere(service: Service) -> None:
    """More clients than PgBouncer has connections do not share prepared statements."""

    def live(number: int) -> list[int]:
        with service.client() as client:
            answer = sign_up(client, f"User{number}", transport="bearer")
            header = bearer(answer.json()["session"]["token"])
            mes = [client.get("/me", headers=header).status_code for _ in range(20)]
            return [answer.status_code, *mes, client.post("/logout", headers=header).status_code]

    with ThreadPoolExecutor(12) as pool:
        lives = list(pool.map(live, range(36)))
    assert lives == [[201, *[200] * 20, 204]] * 36


def test_the_commands_work_through_pgbouncer(pgbouncer: str, database_url: str) -> None:
    settings = {"DATABASE_URL": pgbouncer, "OSTIARY_DATABASE_PGBOUNCER": "true"}
    for revision in ("base", "head"):
        result = run("migrate", "--to", revision, **settings)
        assert result.returncode == 0, result.stderr
    execute(database_url, "CREATE ROLE pooled")
    try:
        granted = run("migrate", "--grant-to", "pooled", **settings)
        assert granted.returncode == 0, granted.stderr
    finally:
        execute(database_url, "DROP OWNED BY pooled; DROP ROLE pooled")
    assert run("user", "list", **settings).returncode == 0
    assert run("cleanup", **settings).returncode == 0


@pytest.mark.parametrize("env", ["development", "production"])
def test_serve_starts_through_pgbouncer(pgbouncer: str, tmp_path: Path, env: str) -> None:
    settings = {
        "DATABASE_URL": pgbouncer,
        "OSTIARY_DATABASE_PGBOUNCER": "true",
        "OSTIARY_ENV": env,
        "OSTIARY_DATABASE_WAIT": "60s",
    }
    with serving(tmp_path / "unused", None, **settings) as service, service.client() as client:
        assert client.get("/readyz").status_code == 200
        assert sign_up(client).status_code == 201


def test_a_request_is_over_at_its_deadline_through_pgbouncer(
    pgbouncer: str, database_url: str, tmp_path: Path
) -> None:
    environment = {"OSTIARY_DATABASE_PGBOUNCER": "true", "OSTIARY_REQUEST_TIMEOUT": "1s"}
    with (
        running(pgbouncer, tmp_path / "service.log", environment) as service,
        service.client() as client,
    ):
        mine = new_session(client)
        with locked(database_url, "session"):
            for path in ("/me", "/sessions"):
                assert client.get(path, headers=mine).status_code == 503
        wait_for_status(lambda: client.get("/me", headers=mine), 200)
