"""The primary dies, and a standby is promoted; `DATABASE_URL` names both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.databases import execute, searchable_directory, wait_until
from tests.faults.load import UnderLoad
from tests.faults.servers import NAME, OwnServer
from tests.faults.serving import serving


@pytest.fixture
def standby(server: OwnServer) -> Iterator[OwnServer]:
    """Return a streaming standby; the primary commits nothing that it does not have."""
    with searchable_directory() as parent:
        standby = OwnServer(parent / "standby")
        standby.copy(server, "--write-recovery-conf")
        standby.start_only()
        for change in (
            "ALTER SYSTEM SET synchronous_standby_names = '*'",
            "SELECT pg_reload_conf()",
        ):
            execute(server.admin_url, change)
        wait_until(
            server.admin_url, "EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')"
        )
        yield standby
        standby.stop()


def test_a_standby_is_promoted(
    server: OwnServer, standby: OwnServer, under_load: UnderLoad, tmp_path: Path
) -> None:
    """Until then the service answers 503, and is not ready: a standby may be behind."""
    hosts = ",".join(each.url.split("host=")[1] for each in (server, standby))
    with (
        serving(f"postgresql://postgres@/{NAME}?host={hosts}", tmp_path / "service.log") as service,
        under_load("fail-over to a promoted standby after 2 s", service.url) as load,
        httpx.Client(base_url=service.url) as client,
    ):
        server.kill()
        load.go_on(2)
        assert client.get("/readyz").status_code == 503
        execute(standby.admin_url, "SELECT pg_promote()")
        load.fault_is_over()
