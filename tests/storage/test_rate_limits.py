"""Consuming and refunding attempts, as far as only the database shows it."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.database import Database
from service.storage.rate_limits import (
    Bucket,
    LimitExceeded,
    LoginBuckets,
    consume,
    consume_login,
    refund,
)
from tests.databases import held, wait_for_lock_waiters

HOUR = 3600.0

ADDRESS = Bucket(id=b"address", emission_interval=HOUR, burst_tolerance=HOUR)
PAIR = Bucket(id=b"pair", emission_interval=HOUR, burst_tolerance=0)
NAME = Bucket(id=b"name", emission_interval=HOUR, burst_tolerance=3 * HOUR)


def bucket(id: bytes, *, interval: float, tolerance: float) -> Bucket:  # noqa: A002
    """Return a bucket, with times in hours."""
    return Bucket(id=id, emission_interval=interval * HOUR, burst_tolerance=tolerance * HOUR)


async def tats(connection: AsyncConnection) -> dict[bytes, datetime]:
    rows = await connection.execute(text("SELECT bucket, tat FROM rate_limit"))
    return {row.bucket: row.tat for row in rows}


@pytest.mark.parametrize("years_ago", [0, 1])
async def test_a_bucket_allows_its_burst_however_long_it_was_unused(
    database: Database, years_ago: int
) -> None:
    thrice = bucket(b"address", interval=1, tolerance=2)
    async with database.connect() as connection:
        await consume(connection, NAME)
        if years_ago:
            await consume(connection, thrice)
            await connection.execute(text("UPDATE rate_limit SET tat = now() - interval '1 year'"))
        for _ in range(3):
            assert await consume(connection, thrice) == [thrice]
        with pytest.raises(LimitExceeded) as refusal:
            await consume(connection, thrice)
        assert refusal.value.retry_after == pytest.approx(HOUR, abs=60)


@pytest.mark.parametrize(
    ("address", "pair", "name", "wait"),
    [
        (bucket(b"a", interval=0, tolerance=9), bucket(b"p", interval=1, tolerance=1), 2, 1),
        (bucket(b"a", interval=0, tolerance=9), bucket(b"p", interval=3, tolerance=3), 2, 2),
        (bucket(b"a", interval=5, tolerance=5), bucket(b"p", interval=1, tolerance=9), 1, 5),
    ],
    ids=["the pair allows first", "the name allows first", "the address is exhausted"],
)
async def test_retry_after_is_that_of_the_earliest_bucket_and_of_the_address(
    database: Database, address: Bucket, pair: Bucket, name: float, wait: float
) -> None:
    buckets = LoginBuckets(
        address=address, address_and_name=pair, name=bucket(b"n", interval=name, tolerance=name)
    )
    async with database.connect() as connection:
        for _ in range(2):
            await consume_login(connection, buckets)
        with pytest.raises(LimitExceeded) as refusal:
            await consume_login(connection, buckets)
        assert refusal.value.retry_after == pytest.approx(wait * HOUR, abs=60)


async def test_an_exhausted_address_consumes_neither_name_nor_pair(
    database: Database,
) -> None:
    once = bucket(b"address", interval=1, tolerance=0)
    async with database.connect() as connection:
        await consume(connection, once)
        with pytest.raises(LimitExceeded):
            await consume_login(
                connection, LoginBuckets(address=once, address_and_name=PAIR, name=NAME)
            )
        assert (await tats(connection)).keys() == {b"address"}


async def test_a_pair_with_an_attempt_is_enough_when_the_name_is_exhausted(
    database: Database,
) -> None:
    often = bucket(b"address", interval=1, tolerance=9)
    once = bucket(b"name", interval=1, tolerance=0)
    async with database.connect() as connection:
        await consume(connection, once)
        buckets = LoginBuckets(address=often, address_and_name=PAIR, name=once)
        assert await consume_login(connection, buckets) == [often, PAIR]


async def test_a_refund_restores_one_emission_interval_of_its_bucket(database: Database) -> None:
    async with database.connect() as connection:
        consumed = await consume(connection, ADDRESS)
        await consume(connection, ADDRESS)
        await consume(connection, NAME)
        before = await tats(connection)
        await refund(connection, consumed)
        after = await tats(connection)
    assert (before[b"address"] - after[b"address"]).total_seconds() == HOUR
    assert before[b"name"] == after[b"name"]


async def test_an_attempt_is_judged_by_the_time_it_locks_the_bucket(database: Database) -> None:
    async with database.transaction() as slow, database.connect() as quick:
        await slow.execute(text("SELECT now()"))
        await consume(quick, ADDRESS)
        await consume(slow, ADDRESS)
        with pytest.raises(LimitExceeded):
            await consume(slow, ADDRESS)


async def test_only_consumed_buckets_are_refunded(database: Database) -> None:
    frequent = Bucket(id=b"address", emission_interval=1.0, burst_tolerance=HOUR)
    buckets = LoginBuckets(address=frequent, address_and_name=PAIR, name=NAME)
    async with database.connect() as connection:
        first = await consume_login(connection, buckets)
        second = await consume_login(connection, buckets)
        assert [first, second] == [[frequent, PAIR, NAME], [frequent, NAME]]
        await refund(connection, second)
        for _ in range(3):
            assert await consume_login(connection, buckets) == [frequent, NAME]
        with pytest.raises(LimitExceeded):
            await consume_login(connection, buckets)


@pytest.mark.parametrize("order", [1, -1])
async def test_a_refund_locks_its_buckets_in_the_order_they_are_given(
    database: Database, database_url: str, order: int
) -> None:
    """Whatever their order in the table; log-ins lock them in the same order."""
    buckets = [ADDRESS, PAIR, NAME]
    async with database.connect() as connection, database.connect() as another:
        for each in buckets[::order]:
            await consume(connection, each)
        # These ways to join the tables have the right order by chance.
        for join in ("nestloop", "mergejoin"):
            await connection.execute(text(f"SET enable_{join} = off"))
        with held(database_url, "SELECT FROM rate_limit WHERE bucket = 'address' FOR UPDATE"):
            refunding = asyncio.create_task(refund(connection, buckets))
            await asyncio.to_thread(wait_for_lock_waiters, database_url)
            others = "SELECT FROM rate_limit WHERE bucket <> 'address' FOR UPDATE NOWAIT"
            await another.execute(text(others))
        await refunding
