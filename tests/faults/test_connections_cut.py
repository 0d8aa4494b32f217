"""PostgreSQL ends connections."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

from tests.databases import fetch_value
from tests.faults.load import UnderLoad
from tests.faults.servers import OwnServer
from tests.faults.serving import serving

CUT_ALL = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'ostiary'"""


def test_connections_are_cut_in_a_loop(
    server: OwnServer, under_load: UnderLoad, tmp_path: Path
) -> None:
    with (
        serving(server.url, tmp_path / "service.log") as service,
        under_load("connections cut hundreds of times in 4 s", service.url) as load,
    ):
        cut, until = 0, monotonic() + 4
        while cut < 300 or monotonic() < until:
            cut += fetch_value(server.admin_url, CUT_ALL)
            load.go_on(0.02)
        load.fault_is_over()
