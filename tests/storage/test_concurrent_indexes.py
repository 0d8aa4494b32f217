"""Indexes that are built while the service works: interrupted, repeated, on two machines."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from service.storage.errors import DatabaseUnavailable
from service.storage.schema import LockPatience, Migration, migrate, revision_of, revisions
from tests.databases import execute, fetch, uncommitted, wait_until
from tests.factories import log_in, sign_up
from tests.services import Service

NEWEST_REVISION = revisions()[-1]

INDEXES = ["key_provider_name_c_idx", "user_created_at_id_idx"]

BUILDING = "query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'"
WRITES = 'INSERT INTO "user" (id) VALUES (gen_random_uuid())'

END_OF_BUILDING = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {BUILDING}"


def validity(url: str) -> dict[str, bool]:
    rows = fetch(
        url,
        "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
        " WHERE relname = ANY ($1)",
        INDEXES,
    )
    return {row["relname"]: row["indisvalid"] for row in rows}


def wait_until_building(url: str) -> None:
    """Wait until an index is being built, and waits for a transaction that began before."""
    wait_until(url, f"EXISTS (SELECT FROM pg_stat_activity WHERE {BUILDING})")


@pytest.fixture
def before(database_url: str) -> str:
    """Return the URL of a database whose indexes have yet to be built."""
    asyncio.run(migrate(database_url, "0015"))
    assert validity(database_url) == {}
    return database_url


def migrating(pool: ThreadPoolExecutor, url: str, **options: Any) -> Future[Migration]:
    return pool.submit(lambda: asyncio.run(migrate(url, **options)))


def test_a_build_that_was_interrupted_is_begun_anew(before: str) -> None:
    with ThreadPoolExecutor(1) as pool, uncommitted(before, WRITES):
        interrupted = migrating(pool, before)
        wait_until_building(before)
        execute(before, END_OF_BUILDING)
        with pytest.raises(DatabaseUnavailable):
            interrupted.result()
    assert validity(before) == {"user_created_at_id_idx": False}
    assert asyncio.run(revision_of(before)) == "0015"

    asyncio.run(migrate(before))
    assert validity(before) == dict.fromkeys(INDEXES, True)


def test_an_index_that_was_built_is_not_built_again(before: str) -> None:
    execute(before, 'CREATE INDEX user_created_at_id_idx ON "user" (created_at, id)')
    of_index = "SELECT oid FROM pg_class WHERE relname = 'user_created_at_id_idx'"
    made = fetch(before, of_index)
    asyncio.run(migrate(before))
    assert fetch(before, of_index) == made
    assert validity(before) == dict.fromkeys(INDEXES, True)


def test_a_second_machine_waits_for_the_one_that_builds(before: str) -> None:
    """If it waited in a statement, each would wait for the other."""
    with ThreadPoolExecutor(2) as pool:
        with uncommitted(before, WRITES):
            first = migrating(pool, before)
            wait_until_building(before)
            second = migrating(pool, before)
            # Two of the first machine, one of the second.
            connections = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ostiary'"
            wait_until(before, f"({connections} AND datname = current_database()) >= 3")
        moves = [first.result(), second.result()]
    assert {move.after for move in moves} == {NEWEST_REVISION}
    assert [str(move.before) for move in moves].count("0015") == 1


def test_a_transaction_that_does_not_end_stops_the_build_after_a_while(before: str) -> None:
    patience = LockPatience(index_timeout=0.05)
    with (
        uncommitted(before, WRITES),
        pytest.raises(DatabaseUnavailable, match="keeps an index from being built"),
    ):
        asyncio.run(migrate(before, patience=patience))
    asyncio.run(migrate(before))
    assert validity(before) == dict.fromkeys(INDEXES, True)


@pytest.mark.own_service
def test_people_sign_up_and_log_in_while_an_index_is_built(
    service: Service, client: httpx.Client
) -> None:
    url = service.database_url
    asyncio.run(migrate(url, "0015"))
    with ThreadPoolExecutor(1) as pool:
        with uncommitted(url, WRITES):
            moving = migrating(pool, url)
            wait_until_building(url)
            assert sign_up(client).status_code == 201
            client.cookies.clear()
            assert log_in(client).status_code == 200
            assert not moving.done()
        assert moving.result().after == NEWEST_REVISION
    assert validity(url) == dict.fromkeys(INDEXES, True)
