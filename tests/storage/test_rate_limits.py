"""What was paid and is given back, where only the database shows it."""

from __future__ import annotations

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

HOUR = 3600.0

ADDRESS = Bucket(id=b"address", emission_interval=HOUR, burst_tolerance=HOUR)
PAIR = Bucket(id=b"pair", emission_interval=HOUR, burst_tolerance=0)
NAME = Bucket(id=b"name", emission_interval=HOUR, burst_tolerance=3 * HOUR)


def bucket(id: bytes, *, interval: float, tolerance: float) -> Bucket:  # noqa: A002
    """Return a bucket, with times in hours."""
    return Bucket(id=id, emission_interval=interval * HOUR, burst_tolerance=tolerance * HOUR)


async def debts(connection: AsyncConnection) -> dict[bytes, datetime]:
    rows = await connection.execute(text("SELECT bucket, tat FROM rate_limit"))
    return {row.bucket: row.tat for row in rows}


@pytest.mark.parametrize("years_ago", [0, 1])
async def test_a_purse_pays_as_often_as_its_credit_allows_however_long_it_did_not(
    database: Database, years_ago: int
) -> None:
    thrice = bucket(b"address", interval=1, tolerance=2)
    async with database.connect() as connection:
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
    ids=["the pair has credit first", "the name has credit first", "the address has none"],
)
async def test_the_wait_is_for_whoever_has_credit_first_but_always_for_the_address(
    database: Database, address: Bucket, pair: Bucket, name: float, wait: float
) -> None:
    purses = LoginBuckets(
        address=address, address_and_name=pair, name=bucket(b"n", interval=name, tolerance=name)
    )
    async with database.connect() as connection:
        for _ in range(2):
            await consume_login(connection, purses)
        with pytest.raises(LimitExceeded) as refusal:
            await consume_login(connection, purses)
        assert refusal.value.retry_after == pytest.approx(wait * HOUR, abs=60)


async def test_an_address_without_credit_costs_the_name_and_the_pair_nothing(
    database: Database,
) -> None:
    once = bucket(b"address", interval=1, tolerance=0)
    async with database.connect() as connection:
        await consume(connection, once)
        with pytest.raises(LimitExceeded):
            await consume_login(
                connection, LoginBuckets(address=once, address_and_name=PAIR, name=NAME)
            )
        assert (await debts(connection)).keys() == {b"address"}


async def test_a_pair_with_credit_is_enough_where_the_name_has_none(database: Database) -> None:
    often = bucket(b"address", interval=1, tolerance=9)
    once = bucket(b"name", interval=1, tolerance=0)
    async with database.connect() as connection:
        await consume(connection, once)
        purses = LoginBuckets(address=often, address_and_name=PAIR, name=once)
        assert await consume_login(connection, purses) == [often, PAIR]


async def test_what_is_given_back_is_the_price_and_goes_to_who_paid(database: Database) -> None:
    async with database.connect() as connection:
        paid = await consume(connection, ADDRESS)
        await consume(connection, ADDRESS)
        await consume(connection, NAME)
        before = await debts(connection)
        await refund(connection, paid)
        after = await debts(connection)
    assert (before[b"address"] - after[b"address"]).total_seconds() == HOUR
    assert before[b"name"] == after[b"name"]


async def test_who_began_first_and_pays_last_is_no_worse_off(database: Database) -> None:
    async with database.transaction() as slow, database.connect() as quick:
        await slow.execute(text("SELECT now()"))
        await consume(quick, ADDRESS)
        await consume(slow, ADDRESS)
        with pytest.raises(LimitExceeded):
            await consume(slow, ADDRESS)


async def test_nobody_gets_back_what_they_have_not_paid(database: Database) -> None:
    frequent = Bucket(id=b"address", emission_interval=1.0, burst_tolerance=HOUR)
    purses = LoginBuckets(address=frequent, address_and_name=PAIR, name=NAME)
    async with database.connect() as connection:
        first = await consume_login(connection, purses)
        second = await consume_login(connection, purses)
        assert [first, second] == [[frequent, PAIR, NAME], [frequent, NAME]]
        await refund(connection, second)
        for _ in range(3):
            assert await consume_login(connection, purses) == [frequent, NAME]
        with pytest.raises(LimitExceeded):
            await consume_login(connection, purses)
