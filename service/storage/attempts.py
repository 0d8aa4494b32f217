"""Attempts: what has been spent of the patience with whoever guesses. Every statement on the table.

The ``free_at`` of a subject moves on by the price of each attempt; it is in debt as long as that
lies ahead, and may not spend more than its credit (the generic cell rate algorithm, ITU-T I.371).

Statements that meet take the rows in one order (address, pair, name), lest they wait for each other
in a circle. The time is that of the row's turn, not of the transaction's beginning: among those who
had to wait for a row, the one who began last may well be the first to have it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeAlias

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import Interval, LargeBinary, TextClause, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection


class Purse(Struct, frozen=True, kw_only=True):
    """Who pays for an attempt, what it costs, and how much may be owed before; in seconds."""

    subject: bytes
    price: float
    credit: float


class Purses(Struct, frozen=True, kw_only=True):
    """Those who pay for an attempt at a name from an address; ``pair`` is the two together."""

    address: Purse
    pair: Purse
    name: Purse


# The purses that paid for an attempt, in the order of their rows.
Paid: TypeAlias = tuple[Purse, ...]


class Spent(Exception):
    """There is no credit left for another ``wait`` seconds."""

    def __init__(self, wait: float) -> None:
        super().__init__()
        self.wait = wait


def _statement(sql: str, *names: str) -> TextClause:
    return text(sql).bindparams(
        *(bindparam(name, type_=LargeBinary) for name in names),
        *(bindparam(f"{name}_price", type_=Interval) for name in names),
        *(bindparam(f"{name}_credit", type_=Interval) for name in names if f"{name}_credit" in sql),
    )


def _pays(name: str, condition: str = "") -> str:
    """One purse pays, if its credit allows and ``condition``, a FROM clause, yields a row."""
    return f"""
    {name}_pays AS (
        INSERT INTO attempt AS spent (subject, free_at)
        SELECT :{name}, clock_timestamp() + :{name}_price {condition}
        ON CONFLICT (subject)
        DO UPDATE SET free_at = greatest(spent.free_at, clock_timestamp()) + :{name}_price
        WHERE spent.free_at <= clock_timestamp() + :{name}_credit
        RETURNING true
    )"""


PAY = _statement(
    f"""
    WITH {_pays("address")}
    SELECT EXISTS (SELECT FROM address_pays) AS address_pays,
           (SELECT free_at FROM attempt WHERE subject = :address)
               - :address_credit - clock_timestamp() AS wait
    """,  # noqa: S608
    "address",
)

# The name's purse is everybody's; whoever has not failed on the name of late needs it not.
PAY_FOR_NAME = _statement(
    f"""
    WITH {_pays("address")},
    {_pays("pair", "FROM address_pays")},
    {_pays("name", "FROM address_pays, (SELECT count(*) FROM pair_pays) AS after_the_pair")}
    SELECT EXISTS (SELECT FROM pair_pays) AS pair_pays,
           EXISTS (SELECT FROM name_pays) AS name_pays,
           CASE WHEN EXISTS (SELECT FROM address_pays)
               THEN least(
                   (SELECT free_at FROM attempt WHERE subject = :pair) - :pair_credit,
                   (SELECT free_at FROM attempt WHERE subject = :name) - :name_credit
               )
               ELSE (SELECT free_at FROM attempt WHERE subject = :address) - :address_credit
           END - clock_timestamp() AS wait
    """,  # noqa: S608
    "address",
    "pair",
    "name",
)

TURNS = ("first", "second", "third")
NOBODY = Purse(subject=b"", price=0, credit=0)

GIVE_BACK = _statement(
    """
    UPDATE attempt SET free_at = attempt.free_at - paid.price
    FROM (
        SELECT spent.subject, payment.price
        FROM attempt AS spent
        JOIN (
            VALUES (1, :first, :first_price), (2, :second, :second_price), (3, :third, :third_price)
        ) AS payment (turn, subject, price) ON spent.subject = payment.subject
        ORDER BY payment.turn
        FOR UPDATE OF spent
    ) AS paid
    WHERE attempt.subject = paid.subject
    """,
    *TURNS,
)

SWEEP_ATTEMPTS = text(
    """
    DELETE FROM attempt WHERE subject IN (
        SELECT subject FROM attempt WHERE free_at <= now() LIMIT :how_many FOR UPDATE SKIP LOCKED
    )
    """
)


async def pay(connection: AsyncConnection, address: Purse) -> Paid:
    """Have an address pay for an attempt. Raises `Spent`."""
    row = (await connection.execute(PAY, _parameters(address=address))).one()
    if not row.address_pays:
        raise _spent(row)
    return (address,)


async def pay_for_name(connection: AsyncConnection, purses: Purses) -> Paid:
    """Have an address pay, and either the two of them or the name, or both. Raises `Spent`."""
    row = (await connection.execute(PAY_FOR_NAME, _parameters(**asdict(purses)))).one()
    if not row.pair_pays and not row.name_pays:
        raise _spent(row)
    payers = ((purses.address, True), (purses.pair, row.pair_pays), (purses.name, row.name_pays))
    return tuple(purse for purse, pays in payers if pays)


async def give_back(connection: AsyncConnection, paid: Paid) -> None:
    """Give back what was paid for an attempt."""
    nobody = (NOBODY,) * (len(TURNS) - len(paid))
    purses = dict(zip(TURNS, paid + nobody, strict=True))
    await connection.execute(GIVE_BACK, _parameters(**purses))


async def sweep_attempts(connection: AsyncConnection, how_many: int) -> int:
    """Delete some of those who owe nothing; tell how many there were."""
    return (await connection.execute(SWEEP_ATTEMPTS, {"how_many": how_many})).rowcount


def _parameters(**purses: Purse) -> dict[str, bytes | timedelta]:
    parameters: dict[str, bytes | timedelta] = {}
    for name, purse in purses.items():
        parameters[name] = purse.subject
        parameters[f"{name}_price"] = timedelta(seconds=purse.price)
        parameters[f"{name}_credit"] = timedelta(seconds=purse.credit)
    return parameters


def _spent(row: Any) -> Spent:
    # Without a row that tells, whoever owed has paid meanwhile.
    return Spent(0 if row.wait is None else row.wait.total_seconds())
