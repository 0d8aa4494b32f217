"""What was paid and is given back, where only the database shows it."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.attempts import Purse, Purses, Spent, give_back, pay, pay_for_name
from service.storage.database import Database

HOUR = 3600.0

ADDRESS = Purse(subject=b"address", price=HOUR, credit=HOUR)
PAIR = Purse(subject=b"pair", price=HOUR, credit=0)
NAME = Purse(subject=b"name", price=HOUR, credit=3 * HOUR)


def purse(subject: bytes, *, price: float, credit: float) -> Purse:
    """In hours."""
    return Purse(subject=subject, price=price * HOUR, credit=credit * HOUR)


async def debts(connection: AsyncConnection) -> dict[bytes, datetime]:
    rows = await connection.execute(text("SELECT subject, free_at FROM attempt"))
    return {row.subject: row.free_at for row in rows}


@pytest.mark.parametrize("years_ago", [0, 1])
async def test_a_purse_pays_as_often_as_its_credit_allows_however_long_it_did_not(
    database: Database, years_ago: int
) -> None:
    thrice = purse(b"address", price=1, credit=2)
    async with database.connect() as connection:
        if years_ago:
            await pay(connection, thrice)
            await connection.execute(text("UPDATE attempt SET free_at = now() - interval '1 year'"))
        for _ in range(3):
            assert await pay(connection, thrice) == (thrice,)
        with pytest.raises(Spent) as refusal:
            await pay(connection, thrice)
        assert refusal.value.wait == pytest.approx(HOUR, abs=60)


@pytest.mark.parametrize(
    ("address", "pair", "name", "wait"),
    [
        (purse(b"a", price=0, credit=9), purse(b"p", price=1, credit=1), 2, 1),
        (purse(b"a", price=0, credit=9), purse(b"p", price=3, credit=3), 2, 2),
        (purse(b"a", price=5, credit=5), purse(b"p", price=1, credit=9), 1, 5),
    ],
    ids=["the pair has credit first", "the name has credit first", "the address has none"],
)
async def test_the_wait_is_for_whoever_has_credit_first_but_always_for_the_address(
    database: Database, address: Purse, pair: Purse, name: float, wait: float
) -> None:
    purses = Purses(address=address, pair=pair, name=purse(b"n", price=name, credit=name))
    async with database.connect() as connection:
        for _ in range(2):
            await pay_for_name(connection, purses)
        with pytest.raises(Spent) as refusal:
            await pay_for_name(connection, purses)
        assert refusal.value.wait == pytest.approx(wait * HOUR, abs=60)


async def test_an_address_without_credit_costs_the_name_and_the_pair_nothing(
    database: Database,
) -> None:
    once = purse(b"address", price=1, credit=0)
    async with database.connect() as connection:
        await pay(connection, once)
        with pytest.raises(Spent):
            await pay_for_name(connection, Purses(address=once, pair=PAIR, name=NAME))
        assert (await debts(connection)).keys() == {b"address"}


async def test_a_pair_with_credit_is_enough_where_the_name_has_none(database: Database) -> None:
    often = purse(b"address", price=1, credit=9)
    once = purse(b"name", price=1, credit=0)
    async with database.connect() as connection:
        await pay(connection, once)
        purses = Purses(address=often, pair=PAIR, name=once)
        assert await pay_for_name(connection, purses) == (often, PAIR)


async def test_what_is_given_back_is_the_price_and_goes_to_who_paid(database: Database) -> None:
    async with database.connect() as connection:
        paid = await pay(connection, ADDRESS)
        await pay(connection, ADDRESS)
        await pay(connection, NAME)
        before = await debts(connection)
        await give_back(connection, paid)
        after = await debts(connection)
    assert (before[b"address"] - after[b"address"]).total_seconds() == HOUR
    assert before[b"name"] == after[b"name"]


async def test_who_began_first_and_pays_last_is_no_worse_off(database: Database) -> None:
    async with database.transaction() as slow, database.connect() as quick:
        await slow.execute(text("SELECT now()"))
        await pay(quick, ADDRESS)
        await pay(slow, ADDRESS)
        with pytest.raises(Spent):
            await pay(slow, ADDRESS)


async def test_nobody_gets_back_what_they_have_not_paid(database: Database) -> None:
    frequent = Purse(subject=b"address", price=1.0, credit=HOUR)
    purses = Purses(address=frequent, pair=PAIR, name=NAME)
    async with database.connect() as connection:
        first = await pay_for_name(connection, purses)
        second = await pay_for_name(connection, purses)
        assert [first, second] == [(frequent, PAIR, NAME), (frequent, NAME)]
        await give_back(connection, second)
        for _ in range(3):
            assert await pay_for_name(connection, purses) == (frequent, NAME)
        with pytest.raises(Spent):
            await pay_for_name(connection, purses)
