"""Which server a connection leads to, and who may read it on its way."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from service.embedded_postgres import EmbeddedPostgres
from service.settings.database import DatabaseOptions
from service.settings.values import Duration
from service.storage import connection
from service.storage import database as database_module
from service.storage.connection import connect, host_urls, may_be_intercepted, wait_for_server
from service.storage.database import Database
from service.storage.errors import DatabaseUnavailable
from tests.databases import TestServer, locked, name_of, wait_for_lock_waiters
from tests.proxy import Proxy
from tests.services import PATIENCE, running

QUICK = DatabaseOptions(connect_timeout=Duration(2))


@contextmanager
def silent_host() -> Iterator[socket.socket]:
    """Listen, and never answer."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        yield listener


def url_of(*ports: int, database_url: str) -> str:
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    return f"postgresql://postgres@{hosts}/{name_of(database_url)}"


@pytest.mark.parametrize(
    "url",
    [
        *("postgresql://127.0.0.1:99999/ostiary", "postgresql:///ostiary?host=/tmp&port=abc"),
        *(
            "postgresql://../ostiary",
            f"postgresql://{'a' * 70}/ostiary",
            "postgresql://%00/ostiary",
        ),
    ],
)
async def test_a_host_or_a_port_that_cannot_be_one_is_a_failure_to_connect(url: str) -> None:
    with pytest.raises(DatabaseUnavailable):
        await connect(url, QUICK)


async def test_a_silent_host_leaves_time_for_the_next_one(database_url: str) -> None:
    with silent_host() as silent, Proxy(database_url).running() as proxy:
        url = url_of(silent.getsockname()[1], proxy.port, database_url=database_url)
        for _ in range(2):
            await (await connect(url, QUICK)).close()
        silent.accept()[0].close()
        # The second connection was opened to the host that had answered.
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_only_the_primary_of_several_hosts_is_used(
    used_directory: Path, postgresql: TestServer, tmp_path: Path
) -> None:
    (used_directory / "postgresql" / "standby.signal").touch()
    standby = EmbeddedPostgres(used_directory)
    standby.start()
    try:
        with pytest.raises(DatabaseUnavailable, match="primary"):
            asyncio.run(connect(standby.url(), DatabaseOptions()))
        sockets = [each.url().partition("host=")[2] for each in (standby, postgresql.embedded)]
        both = f"postgresql://postgres@/postgres?host={','.join(sockets)}"
        assert asyncio.run(is_primary(both))
        with (
            running(standby.url(), tmp_path / "service.log") as service,
            service.client() as client,
        ):
            assert_unavailable(client.get("/readyz"))
            assert_unavailable(client.get("/me", headers={"Authorization": f"Bearer {'A' * 64}"}))
    finally:
        standby.stop()


async def is_primary(url: str) -> bool:
    connection = await connect(url, DatabaseOptions())
    primary = await connection.fetchval("SELECT NOT pg_is_in_recovery()")
    await connection.close()
    return bool(primary)


def assert_unavailable(response: httpx.Response) -> None:
    assert (response.status_code, response.json()["code"]) == (503, "database_unavailable")


async def test_a_missing_database_is_not_waited_for(database_url: str) -> None:
    missing = database_url.replace(name_of(database_url), "missing")
    with pytest.raises(DatabaseUnavailable, match="does not exist"):
        await wait_for_server(missing, DatabaseOptions(), 10 * PATIENCE)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://u:p@a/db", ["postgresql://u:p@a/db"]),
        (
            "postgresql://u:p@a:1,[::1]:2/db?sslmode=require",
            [
                "postgresql://u:p@a:1/db?sslmode=require",
                "postgresql://u:p@[::1]:2/db?sslmode=require",
            ],
        ),
        ("postgresql:///db?host=/a", ["postgresql:///db?host=/a"]),
        (
            "postgresql://u@/db?host=/a,b&port=1,2",
            ["postgresql://u@/db?host=%2Fa&port=1", "postgresql://u@/db?host=b&port=2"],
        ),
        (
            "postgresql://u@/db?host=a,b&port=1",
            ["postgresql://u@/db?host=a&port=1", "postgresql://u@/db?host=b&port=1"],
        ),
    ],
)
def test_each_host_of_a_url_has_a_url(url: str, hosts: list[str]) -> None:
    assert list(host_urls(url)) == hosts


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@db.example.com/x", True),
        ("postgresql://u:p@db.example.com/x?sslmode=require", True),
        ("postgresql://u:p@db.example.com/x?sslmode=verify-ca", True),
        ("postgresql://u:p@db.example.com/x?sslmode=verify-full", False),
        ("postgresql://u:p@10.0.0.1/x", True),
        ("postgresql://u:p@localhost,db.example.com/x", True),
        ("postgresql://u:p@localhost/x", False),
        ("postgresql://u:p@127.0.0.2:5433/x", False),
        ("postgresql://u:p@[::1]/x", False),
        ("postgresql:///x?host=/run/postgresql", False),
        ("postgresql:///x?host=db.example.com", True),
        ("postgresql:///x", False),
    ],
)
def test_connections_to_other_machines_need_verified_tls(
    monkeypatch: pytest.MonkeyPatch, url: str, *, expected: bool
) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    assert may_be_intercepted(url) is expected


async def test_closing_a_pool_waits_for_the_connections_that_it_discarded(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (connection, database_module):
        monkeypatch.setattr(module, "CLOSE_TIMEOUT", PATIENCE)

    async def read() -> None:
        async with database.connect() as connecting:
            await connecting.execute(text("SELECT FROM rate_limit"))

    with locked(database_url, "rate_limit"):
        reading = asyncio.create_task(read())
        await asyncio.to_thread(wait_for_lock_waiters, database_url)
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        assert connection._closing & asyncio.all_tasks()
        await database.close()
        assert not connection._closing & asyncio.all_tasks()
