"""PgBouncer in transaction mode: it dies, or its connections to PostgreSQL do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import fetch_value
from tests.faults.load import UnderLoad
from tests.faults.servers import OwnServer
from tests.faults.serving import serving
from tests.pgbouncer.process import PgBouncer, pgbouncer_before

CUT_ALL = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'ostiary'"""

# As docs/operations.md has it.
SETTINGS = {"OSTIARY_DATABASE_PGBOUNCER": "true"}


@pytest.fixture
def pgbouncer(server: OwnServer) -> Iterator[PgBouncer]:
    with pgbouncer_before(server.url) as pgbouncer:
        yield pgbouncer


def test_pgbouncer_is_killed_and_comes_back(
    pgbouncer: PgBouncer, under_load: UnderLoad, tmp_path: Path
) -> None:
    with (
        serving(pgbouncer.url, tmp_path / "service.log", **SETTINGS) as service,
        under_load("PgBouncer killed with -9, away for 2 s", service.url) as load,
    ):
        pgbouncer.kill()
        load.go_on(2)
        pgbouncer.start()
        load.fault_is_over()


def test_postgresql_is_killed_behind_pgbouncer(
    pgbouncer: PgBouncer, server: OwnServer, under_load: UnderLoad, tmp_path: Path
) -> None:
    with (
        serving(pgbouncer.url, tmp_path / "service.log", **SETTINGS) as service,
        under_load("PostgreSQL killed behind PgBouncer, away for 2 s", service.url) as load,
    ):
        server.kill()
        load.go_on(2)
        server.start_again()
        load.fault_is_over()


def test_the_connections_of_pgbouncer_are_cut_in_a_loop(
    pgbouncer: PgBouncer, server: OwnServer, under_load: UnderLoad, tmp_path: Path
) -> None:
    with (
        serving(pgbouncer.url, tmp_path / "service.log", **SETTINGS) as service,
        under_load("PgBouncer's connections cut 60 times", service.url) as load,
    ):
        cut = 0
        while cut < 60:
            cut += fetch_value(server.admin_url, CUT_ALL)
            load.go_on(0.05)
        load.fault_is_over()
