"""Attempts: what has been spent of the patience with whoever guesses. Every statement on the table.

The ``free_at`` of a subject moves on by the price of each attempt; it is in debt as long as that
lies ahead, and may not spend more than its credit (the generic cell rate algorithm, ITU-T I.371).

Statements that meet take the rows in one order (address, pair, name), lest they wait for each other
in a circle.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict, replace
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
        SELECT :{name}, now() + :{name}_price {condition}
        ON CONFLICT (subject)
        DO UPDATE SET free_at = greatest(spent.free_at, now()) + :{name}_price
        WHERE spent.free_at <= now() + :{name}_credit
        RETURNING true
    )"""


PAY = _statement(
    f"""
    WITH {_pays("address")}
    SELECT EXISTS (SELECT FROM address_pays) AS is_paid,
           (SELECT free_at FROM attempt WHERE subject = :address)
               - :address_credit - now() AS wait
    """,  # noqa: S608
    "address",
)

# The name's purse is everybody's; whoever has not failed on the name of late needs it not.
PAY_FOR_NAME = _statement(
    f"""
    WITH {_pays("address")},
    {_pays("pair", "FROM address_pays")},
    {_pays("name", "FROM address_pays, (SELECT count(*) FROM pair_pays) AS after_the_pair")}
    SELECT EXISTS (SELECT FROM pair_pays) OR EXISTS (SELECT FROM name_pays) AS is_paid,
           EXISTS (SELECT FROM name_pays) AS is_paid_by_name,
           CASE WHEN EXISTS (SELECT FROM address_pays)
               THEN least(
                   (SELECT free_at FROM attempt WHERE subject = :pair) - :pair_credit,
                   (SELECT free_at FROM attempt WHERE subject = :name) - :name_credit
               )
               ELSE (SELECT free_at FROM attempt WHERE subject = :address) - :address_credit
           END - now() AS wait
    """,  # noqa: S608
    "address",
    "pair",
    "name",
)

GIVE_BACK_TO_ONE = text(
    "UPDATE attempt SET free_at = free_at - :price WHERE subject = :subject"
).bindparams(bindparam("subject", type_=LargeBinary), bindparam("price", type_=Interval))

GIVE_BACK = _statement(
    """
    UPDATE attempt SET free_at = attempt.free_at - paid.price
    FROM (
        SELECT spent.subject, payment.price
        FROM attempt AS spent
        JOIN (
            VALUES (1, :address, :address_price), (2, :pair, :pair_price), (3, :name, :name_price)
        ) AS payment (turn, subject, price) ON spent.subject = payment.subject
        ORDER BY payment.turn
        FOR UPDATE OF spent
    ) AS paid
    WHERE attempt.subject = paid.subject
    """,
    "address",
    "pair",
    "name",
)

SWEEP_ATTEMPTS = text(
    """
    DELETE FROM attempt WHERE subject IN (
        SELECT subject FROM attempt WHERE free_at <= now() LIMIT :how_many FOR UPDATE SKIP LOCKED
    )
    """
)


async def pay(connection: AsyncConnection, address: Purse) -> None:
    """Have an address pay for an attempt. Raises `Spent`."""
    row = (await connection.execute(PAY, _parameters(address=address))).one()
    _require_paid(row)


async def pay_for_name(connection: AsyncConnection, purses: Purses) -> Purses:
    """Have an address pay, and for the name either the two of them or the name itself.

    The purses that come back have the prices that were paid. Raises `Spent`.
    """
    row = (await connection.execute(PAY_FOR_NAME, _parameters(**asdict(purses)))).one()
    _require_paid(row)
    if row.is_paid_by_name:
        return purses
    return replace(purses, name=replace(purses.name, price=0))


async def give_back_to_one(connection: AsyncConnection, purse: Purse) -> None:
    """Give back to one purse what it has paid."""
    price = timedelta(seconds=purse.price)
    await connection.execute(GIVE_BACK_TO_ONE, {"subject": purse.subject, "price": price})


async def give_back(connection: AsyncConnection, purses: Purses) -> None:
    """Give back what was paid."""
    await connection.execute(GIVE_BACK, _parameters(**asdict(purses)))


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


def _require_paid(row: Any) -> None:
    if not row.is_paid:
        # Without a row that tells, whoever owed has paid meanwhile.
        raise Spent(0 if row.wait is None else row.wait.total_seconds())
