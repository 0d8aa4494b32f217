"""PostgreSQL dies, and comes back."""

from __future__ import annotations

from pathlib import Path

from tests.faults.load import UnderLoad
from tests.faults.servers import OwnServer
from tests.faults.serving import serving


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
