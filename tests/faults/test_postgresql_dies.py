"""PostgreSQL dies and comes back, or is not there when the service starts."""

from __future__ import annotations

from pathlib import Path

from tests.cli.running import run
from tests.faults.load import UnderLoad
from tests.faults.servers import OwnServer
from tests.faults.serving import environment, serving, starting


def test_postgresql_is_killed_under_load_and_comes_back(
    server: OwnServer, under_load: UnderLoad, tmp_path: Path
) -> None:
    with (
        serving(server.url, tmp_path / "service.log") as service,
        under_load("PostgreSQL killed with -9, away for 2 s", service.url) as load,
    ):
        server.kill()
        load.go_on(2)
        server.start_again()
        load.fault_is_over()


def test_postgresql_is_not_there_when_the_service_starts_and_waits(
    server: OwnServer, under_load: UnderLoad, tmp_path: Path
) -> None:
    """Until then nobody listens."""
    assert run("migrate", **environment(server.url)).returncode == 0
    server.kill()
    with (
        starting(server.url, tmp_path / "service.log", OSTIARY_DATABASE_WAIT="1m") as url,
        under_load(
            "PostgreSQL not there when the service starts (`OSTIARY_DATABASE_WAIT`), for 3 s",
            url,
            begins_with_it=True,
            connections_end=True,
        ) as load,
    ):
        load.go_on(3)
        server.start_again()
        load.fault_is_over()


def test_without_waiting_the_service_does_not_start_and_says_why(server: OwnServer) -> None:
    server.kill()
    result = run("serve", **environment(server.url))
    assert result.returncode == 1
    assert "The database is unavailable" in result.stderr
    assert "Traceback" not in result.stderr
