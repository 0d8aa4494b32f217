"""Rate limits: the statements that consume and refund attempts.

The generic cell rate algorithm (GCRA, ITU-T I.371): a bucket stores its theoretical arrival time
(``tat``). Each attempt moves it on by the emission interval, and is allowed as long as it does not
lie further ahead than the burst tolerance.

Statements lock the rows of their buckets in one order (address, address and name, name), which
excludes deadlocks. The time is ``clock_timestamp()``, read when the row is locked: with ``now()``,
the time of the transaction's beginning, an attempt that waited for the row would be judged by a
time before that of the attempt it waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import Interval, LargeBinary, Row, TextClause, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.direct import DirectStatement


class Bucket(Struct, frozen=True, kw_only=True):
    """One limit for one subject, whose digest is ``id``; the times are in seconds."""

    id: bytes
    emission_interval: float
    burst_tolerance: float


class LoginBuckets(Struct, frozen=True, kw_only=True):
    """The buckets of a log-in attempt: of the address, of the name, and of the two together."""

    address: Bucket
    address_and_name: Bucket
    name: Bucket


class LimitExceeded(Exception):
    """There is no attempt left; the next one is allowed in ``retry_after`` seconds."""

    def __init__(self, retry_after: float) -> None:
        self.retry_after = retry_after


def _statement(sql: str, *buckets: str) -> TextClause:
    return text(sql).bindparams(
        *(bindparam(name, type_=LargeBinary) for name in buckets),
        *(bindparam(f"{name}_interval", type_=Interval) for name in buckets),
        *(bindparam(f"{name}_tolerance", type_=Interval) for name in buckets if "tolerance" in sql),
    )


def _consume(name: str, source: str = "") -> str:
    """Return a CTE that consumes an attempt of a bucket that has one left.

    ``source`` is a FROM clause; without rows, nothing is consumed.
    """
    return f"""
    {name}_allowed AS (
        INSERT INTO rate_limit AS consumed (bucket, tat)
        SELECT :{name}, clock_timestamp() + :{name}_interval {source}
        ON CONFLICT (bucket)
        DO UPDATE SET tat = greatest(consumed.tat, clock_timestamp()) + :{name}_interval
        WHERE consumed.tat <= clock_timestamp() + :{name}_tolerance
        RETURNING true
    )"""


CONSUME = _statement(
    f"""
    WITH {_consume("address")}
    SELECT EXISTS (SELECT FROM address_allowed) AS allowed,
           (SELECT tat FROM rate_limit WHERE bucket = :address)
               - :address_tolerance - clock_timestamp() AS retry_after
    """,  # noqa: S608
    "address",
)


async def consume(connection: AsyncConnection, address: Bucket) -> list[Bucket]:
    """Consume an attempt of one bucket. Returns it, for `refund`. Raises `LimitExceeded`."""
    row = (await connection.execute(CONSUME, _parameters(address=address))).one()
    if not row.allowed:
        raise _limit_exceeded(row)
    return [address]


# The per-name bucket is shared; an address with no recent failure for the name uses its own bucket.
# Counting the rows of the CTE before makes PostgreSQL lock the buckets in this order.
CONSUME_LOGIN = _statement(
    f"""
    WITH {_consume("address")},
    {_consume("address_and_name", "FROM address_allowed")},
    {_consume("name", "FROM address_allowed, (SELECT count(*) FROM address_and_name_allowed) AS o")}
    SELECT EXISTS (SELECT FROM address_and_name_allowed) AS by_address_and_name,
           EXISTS (SELECT FROM name_allowed) AS by_name,
           CASE WHEN EXISTS (SELECT FROM address_allowed)
               THEN least(
                   (SELECT tat FROM rate_limit WHERE bucket = :address_and_name)
                       - :address_and_name_tolerance,
                   (SELECT tat FROM rate_limit WHERE bucket = :name) - :name_tolerance
               )
               ELSE (SELECT tat FROM rate_limit WHERE bucket = :address) - :address_tolerance
           END - clock_timestamp() AS retry_after
    """,  # noqa: S608
    "address",
    "address_and_name",
    "name",
)


_CONSUME_LOGIN = DirectStatement(CONSUME_LOGIN)


async def consume_login(connection: AsyncConnection, buckets: LoginBuckets) -> list[Bucket]:
    """Consume a log-in attempt of the address's bucket and of one or both of the others.

    Returns the buckets that were consumed, for `refund`. Raises `LimitExceeded`.
    """
    parameters = _parameters(
        address=buckets.address, address_and_name=buckets.address_and_name, name=buckets.name
    )
    row = await _CONSUME_LOGIN.one(connection, parameters)
    if not row.by_address_and_name and not row.by_name:
        raise _limit_exceeded(row)
    consumed = [buckets.address]
    if row.by_address_and_name:
        consumed.append(buckets.address_and_name)
    if row.by_name:
        consumed.append(buckets.name)
    return consumed


def _refund(count: int) -> TextClause:
    """Return the statement that refunds ``count`` buckets, locked in the order they are given."""
    names = [f"bucket_{number}" for number in range(count)]
    rows = ", ".join(f"({number}, :{name}, :{name}_interval)" for number, name in enumerate(names))
    return _statement(
        f"""
        UPDATE rate_limit SET tat = rate_limit.tat - locked.emission_interval
        FROM (
            SELECT rate_limit.bucket, refunded.emission_interval
            FROM (VALUES {rows}) AS refunded (position, bucket, emission_interval)
            JOIN rate_limit ON rate_limit.bucket = refunded.bucket
            ORDER BY refunded.position
            FOR UPDATE OF rate_limit
        ) AS locked
        WHERE rate_limit.bucket = locked.bucket
        """,  # noqa: S608
        *names,
    )


# By the number of buckets: an array of them would cost asyncpg a look-up of its type.
REFUND = {count: _refund(count) for count in (1, 2, 3)}
_REFUND = {count: DirectStatement(statement) for count, statement in REFUND.items()}


async def refund(connection: AsyncConnection, buckets: Sequence[Bucket]) -> None:
    """Restore an attempt that was consumed of these buckets, in the order of `consume_login`."""
    named = {f"bucket_{number}": bucket for number, bucket in enumerate(buckets)}
    await _REFUND[len(buckets)].one_or_none(connection, _parameters(**named))


def _parameters(**buckets: Bucket) -> dict[str, bytes | timedelta]:
    parameters: dict[str, bytes | timedelta] = {}
    for name, bucket in buckets.items():
        parameters[name] = bucket.id
        parameters[f"{name}_interval"] = timedelta(seconds=bucket.emission_interval)
        parameters[f"{name}_tolerance"] = timedelta(seconds=bucket.burst_tolerance)
    return parameters


def _limit_exceeded(row: Row[Any]) -> LimitExceeded:
    # Without a row that says when, the attempts have been restored meanwhile.
    return LimitExceeded(0 if row.retry_after is None else row.retry_after.total_seconds())
