"""Statements that wait: for tables that others lock, for connections that all are in use."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.databases import locked
from tests.faults.load import UnderLoad
from tests.faults.servers import OwnServer
from tests.faults.serving import serving

# Longer than a request may take, in seconds.
LONG = 6.0


@pytest.mark.parametrize("table", ["session", '"user"', "key", "rate_limit", "device"])
def test_a_table_is_locked_for_longer_than_a_request_may_take(
    server: OwnServer, under_load: UnderLoad, tmp_path: Path, table: str
) -> None:
    name = table.strip('"')
    with (
        serving(server.url, tmp_path / "service.log") as service,
        under_load(f"table `{name}` locked for {LONG} s", service.url) as load,
    ):
        with locked(server.url, table):
            load.go_on(LONG)
        load.fault_is_over()
    # A session is found without these tables.
    assert table not in {"rate_limit", "device"} or load.failures("GET") == {}


def test_hanging_statements_exhaust_the_pool(
    server: OwnServer, under_load: UnderLoad, tmp_path: Path
) -> None:
    """What needs no connection of the pool goes on, and the instances remain ready."""
    with (
        serving(server.url, tmp_path / "service.log", OSTIARY_DATABASE_POOL_SIZE="1") as service,
        under_load(f"pool of 1 exhausted by hanging statements for {LONG} s", service.url) as load,
        httpx.Client(base_url=service.url, timeout=LONG) as client,
    ):
        with locked(server.url, "rate_limit"):
            load.go_on(LONG)
            assert client.get("/readyz").status_code == 200
        load.fault_is_over()
    assert load.failures("GET") == {}
