"""What was paid and is given back, where only the database shows it."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from service.storage.attempts import Purse, Purses, Spent, give_back, pay, pay_for_name
from service.storage.database import Database

HOUR = 3600.0

ADDRESS = Purse(subject=b"address", price=HOUR, credit=HOUR)
PAIR = Purse(subject=b"pair", price=HOUR, credit=0)
NAME = Purse(subject=b"name", price=HOUR, credit=3 * HOUR)


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
