"""TLS to the database, by the parameters of libpq in `DATABASE_URL`, through the commands."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from urllib.parse import urlencode

import pytest

from tests.certificates import Authority
from tests.cli.running import run
from tests.databases import name_of
from tests.factories import log_in, sign_up
from tests.proxy import Proxy
from tests.services import reserved_port, running

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="the program openssl is not installed"
)


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def another(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "another")


@contextmanager
def encrypted(database_url: str, authority: Authority, name: str = "localhost") -> Iterator[Proxy]:
    """Run a server that is reached by TLS only, with a certificate for this name."""
    with Proxy(database_url, authority.server_context(name)).running() as proxy:
        yield proxy


def url_of(proxy: Proxy, **parameters: str | Path) -> str:
    name = name_of(proxy.url)
    return f"postgresql://postgres@localhost:{proxy.port}/{name}?{urlencode(parameters)}"


def migrate(url: str) -> CompletedProcess[str]:
    return run("migrate", DATABASE_URL=url)


def assert_refused(result: CompletedProcess[str], *words: str) -> None:
    """Check that a command failed with a line that has these words."""
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    for each in words:
        assert each in line


def assert_everything_works(url: str, log: Path) -> None:
    """Use the connections of migrations, of the pool, of look-ups and of readiness."""
    assert migrate(url).returncode == 0
    with running(url, log) as service, service.client() as client:
        assert sign_up(client).status_code == 201
        assert log_in(client).status_code == 200
        assert client.get("/me").status_code == 200
        assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_all_connections_are_encrypted(
    database_url: str, ours: Authority, mode: str, tmp_path: Path
) -> None:
    with encrypted(database_url, ours) as server:
        root = {} if mode == "require" else {"sslrootcert": ours.certificate}
        assert_everything_works(url_of(server, sslmode=mode, **root), tmp_path / "log")
        assert server.connections >= 4


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_a_server_of_another_authority_is_refused(
    database_url: str, ours: Authority, another: Authority, mode: str
) -> None:
    with encrypted(database_url, another) as server, reserved_port() as port:
        url = url_of(server, sslmode=mode, sslrootcert=ours.certificate)
        assert_refused(migrate(url), "certificate verify failed")
        served = run("serve", DATABASE_URL=url, OSTIARY_PORT=str(port))
        assert_refused(served, "certificate verify failed")


def test_a_server_with_another_name_is_refused_by_verify_full_only(
    database_url: str, ours: Authority
) -> None:
    with encrypted(database_url, ours, "db.example.com") as server:
        root = {"sslrootcert": ours.certificate}
        refused = migrate(url_of(server, sslmode="verify-full", **root))
        assert_refused(refused, "certificate is not valid for 'localhost'")
        assert migrate(url_of(server, sslmode="verify-ca", **root)).returncode == 0


def test_a_server_that_wants_a_certificate_gets_it(
    database_url: str, ours: Authority, tmp_path: Path
) -> None:
    context = ours.server_context("localhost", wants_client=True)
    certificate, key = ours.issue("service")
    with Proxy(database_url, context).running() as server:
        verified = url_of(server, sslmode="verify-full", sslrootcert=ours.certificate)
        own = urlencode({"sslcert": certificate, "sslkey": key})
        assert_everything_works(f"{verified}&{own}", tmp_path / "log")
        assert_refused(migrate(verified), "The database is unavailable: ")


def test_a_server_without_tls_is_refused(database_url: str) -> None:
    with Proxy(database_url).running() as server:
        refused = migrate(url_of(server, sslmode="require"))
    assert_refused(refused, "rejected SSL upgrade")


@pytest.mark.parametrize("parameter", ["sslrootcert", "sslcert", "sslkey", "sslcrl"])
def test_a_file_that_cannot_be_read_is_told(parameter: str) -> None:
    refused = migrate(f"postgresql://u:sesame@localhost/x?{parameter}=/nowhere/file.pem")
    reason = f"{parameter}: /nowhere/file.pem cannot be read: No such file or directory"
    assert refused.returncode == 1
    assert refused.stderr == f"Invalid settings:\n  DATABASE_URL: {reason}\n"


def test_a_server_cannot_be_verified_without_an_authority(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with Proxy(database_url).running() as server:
        refused = migrate(url_of(server, sslmode="verify-full"))
    assert_refused(refused, f"{tmp_path}/.postgresql/root.crt")


def test_a_mode_that_does_not_exist_is_told(database_url: str) -> None:
    with Proxy(database_url).running() as server:
        assert_refused(migrate(url_of(server, sslmode="verify")), "sslmode")
