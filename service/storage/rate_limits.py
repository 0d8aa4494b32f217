"""Rate limits: the statements that consume attempts and settle them.

The generic cell rate algorithm (GCRA, ITU-T I.371): a bucket stores its theoretical arrival time
(``tat``). Each attempt moves it on by the emission interval, and is allowed as long as it does not
lie further ahead than the burst tolerance.

An attempt reserves what it consumes until it is settled. An attempt that finds no room but what
others have reserved is not refused: it may wait for them.

Statements lock the rows of their buckets in the order in which they are given, which excludes
deadlocks. The time is ``clock_timestamp()``, read when the row is locked: with ``now()``, the time
of the transaction's beginning, an attempt that waited for the row would be judged by a time before
that of the attempt it waited for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import (
    BindParameter,
    Float,
    Interval,
    LargeBinary,
    Row,
    TextClause,
    Uuid,
    bindparam,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.devices import DeviceHash


class Bucket(Struct, frozen=True, kw_only=True):
    """One limit for one subject, whose digest is ``id``; the times are in seconds."""

    id: bytes
    emission_interval: float
    burst_tolerance: float


class LoginBuckets(Struct, frozen=True, kw_only=True):
    """The buckets of a log-in attempt.

    From an unknown device it needs an attempt of each of ``networks`` (smallest first) and of
    ``log_ins``, and one of either all ``networks_and_name`` or ``name``. From a known one it needs
    one of ``device`` and of ``device_log_ins``. ``failures`` counts those from unknown devices.
    """

    networks: Sequence[Bucket]
    networks_and_name: Sequence[Bucket]
    name: Bucket
    log_ins: Bucket
    device: Bucket
    device_log_ins: Bucket
    failures: Bucket


class Charge(Struct, frozen=True):
    """What an attempt consumed of a bucket, in seconds, and how much of it is given back."""

    bucket: bytes
    consumed: float
    refunded: float = 0


class Consumption(Struct, frozen=True, kw_only=True):
    """The outcome of an attempt to consume.

    ``charges`` were consumed, though the attempt may not be allowed: simultaneous attempts may have
    left too little. ``blocked_for`` is the time in seconds until there is room, 0 if there was;
    ``blocked_by_reservations`` if there is room as soon as the attempts in flight succeed.
    ``pressure``, 0 to 1, is by how much the failures of all users exceed their limit.
    """

    is_allowed: bool
    charges: list[Charge]
    blocked_for: float
    blocked_by_reservations: bool
    is_known_device: bool
    pressure: float


# Clauses of the condition on which an attempt is allowed: all buckets of the first, and all of
# either of the others.
REQUIRED, ONE_WAY, ANOTHER_WAY = 0, 1, 2

IS_KNOWN_DEVICE = """
    SELECT EXISTS (
        SELECT FROM device
        WHERE hash = :device_hash AND user_id = :user_id
          AND last_seen > now() - :device_lifetime
    ) AS is_known
"""
PRESSURE = """
    SELECT coalesce((
        SELECT least(1, greatest(0, extract(epoch FROM
            tat - clock_timestamp() - :failures_tolerance) / :failures_period))
        FROM rate_limit WHERE bucket = :failures
    ), 0) AS value
"""

# With a pressure of 1 an attempt costs its address ten times as much.
MAX_SURCHARGE = 9


class _Wanted(Struct, frozen=True):
    """A bucket in a statement: its parameters' prefix, and when it is needed."""

    name: str
    clause: int = REQUIRED
    is_known_device: bool = False
    is_surcharged: bool = False

    def row(self, position: int) -> str:
        """Return the row of VALUES."""
        return (
            f"({position}, {self.clause}, {self.is_known_device}, {self.is_surcharged}, "
            f":{self.name}, :{self.name}_interval, :{self.name}_tolerance)"
        )


def _consume(
    wanted: Sequence[_Wanted],
    is_known_device: str = "SELECT false AS is_known",
    pressure: str = "SELECT 0 AS value",
) -> TextClause:
    """Return the statement that consumes an attempt of the wanted buckets, if all allow it.

    It judges by what it sees when it begins, and once more when it has locked a row: of
    simultaneous attempts some may consume a part only. `settle` refunds it.
    """
    values = ", ".join(each.row(position) for position, each in enumerate(wanted))
    return text(
        f"""
    WITH known AS MATERIALIZED ({is_known_device}),
    pressure AS MATERIALIZED ({pressure}),
    wanted AS MATERIALIZED (
        SELECT position, clause, bucket, charge, tolerance - (charge - emission_interval) AS room
        FROM known, pressure, LATERAL (
            SELECT *, CASE WHEN is_surcharged
                THEN emission_interval * (1 + {MAX_SURCHARGE} * pressure.value)
                ELSE emission_interval
            END AS charge
            FROM (VALUES {values}) AS listed (
                position, clause, is_known, is_surcharged, bucket, emission_interval, tolerance
            )
            WHERE listed.is_known = known.is_known
        ) AS charged
    ),
    judged AS MATERIALIZED (
        SELECT wanted.*,
               coalesce(tat - greatest(room, '0') - clock_timestamp(), '0') AS full_for,
               CASE WHEN reserved_until > clock_timestamp() THEN reserved ELSE '0' END AS reserved
        FROM wanted LEFT JOIN rate_limit USING (bucket)
    ),
    blocked AS MATERIALIZED (
        SELECT (max(full_for) FILTER (WHERE clause = {REQUIRED})) AS required,
               (max(full_for) FILTER (WHERE clause = {ONE_WAY})) AS one_way,
               (max(full_for) FILTER (WHERE clause = {ANOTHER_WAY})) AS another_way,
               (max(full_for - reserved) FILTER (WHERE clause = {REQUIRED})) AS required_later,
               least(
                   max(full_for - reserved) FILTER (WHERE clause = {ONE_WAY}),
                   max(full_for - reserved) FILTER (WHERE clause = {ANOTHER_WAY})
               ) AS either_later
        FROM judged
    ),
    consumed AS (
        INSERT INTO rate_limit AS held (bucket, tat, reserved, reserved_until)
        SELECT bucket, clock_timestamp() + charge, charge, clock_timestamp() + :reserved_for
        FROM judged, blocked
        WHERE greatest(required, least(one_way, another_way)) <= '0'
          AND (clause <> {ONE_WAY} OR one_way <= '0')
          AND (clause <> {ANOTHER_WAY} OR another_way <= '0')
        ORDER BY position
        ON CONFLICT (bucket) DO UPDATE
        SET tat = greatest(held.tat, clock_timestamp()) + excluded.reserved,
            reserved = excluded.reserved + CASE
                WHEN held.reserved_until > clock_timestamp() THEN held.reserved ELSE '0'
            END,
            reserved_until = excluded.reserved_until
        WHERE held.tat <= clock_timestamp() + greatest('0',
            (SELECT room FROM judged WHERE judged.bucket = excluded.bucket))
        RETURNING bucket
    )
    SELECT judged.bucket, judged.clause, judged.charge, consumed.bucket IS NOT NULL AS is_consumed,
           greatest(required, least(one_way, another_way)) AS blocked_for,
           greatest(required_later, either_later) <= '0' AS blocked_by_reservations,
           known.is_known, CAST(pressure.value AS float) AS pressure
    FROM known, pressure, blocked, judged LEFT JOIN consumed USING (bucket)
    ORDER BY position
    """  # noqa: S608
    ).bindparams(
        *(bindparam(each.name, type_=LargeBinary) for each in wanted),
        *(
            bindparam(f"{each.name}_{part}", type_=Interval)
            for each in wanted
            for part in ("interval", "tolerance")
        ),
        bindparam("reserved_for", type_=Interval),
    )


@cache
def _consume_all(count: int) -> TextClause:
    return _consume([_Wanted(f"bucket_{number}") for number in range(count)])


async def consume(
    connection: AsyncConnection, buckets: Sequence[Bucket], *, reserved_for: float
) -> Consumption:
    """Consume an attempt of each of these buckets, if all of them allow it.

    The attempt counts as in flight until it is settled, for ``reserved_for`` seconds at the most.
    """
    named = {f"bucket_{number}": bucket for number, bucket in enumerate(buckets)}
    parameters = {**_parameters(named), "reserved_for": timedelta(seconds=reserved_for)}
    return _consumption((await connection.execute(_consume_all(len(buckets)), parameters)).all())


@cache
def _consume_login(levels: int) -> TextClause:
    """Return the statement for a number of networks: the client's address is in each of them.

    The per-name bucket is shared; an address with no recent failure for the name uses its own.
    """
    statement = _consume(
        [
            *(_Wanted(f"network_{level}", is_surcharged=True) for level in range(levels)),
            _Wanted("log_ins"),
            *(_Wanted(f"network_and_name_{level}", ONE_WAY) for level in range(levels)),
            _Wanted("name", ANOTHER_WAY),
            _Wanted("device", is_known_device=True),
            _Wanted("device_log_ins", is_known_device=True),
        ],
        IS_KNOWN_DEVICE,
        PRESSURE,
    )
    return statement.bindparams(
        bindparam("device_hash", type_=LargeBinary),
        bindparam("user_id", type_=Uuid),
        bindparam("device_lifetime", type_=Interval),
        bindparam("failures", type_=LargeBinary),
        bindparam("failures_tolerance", type_=Interval),
        bindparam("failures_period", type_=Float),
    )


# No user and no device has these. Looked up like any other: an attempt at an unknown name, or
# without a device, does the same work.
NO_USER = UUID(int=0)
NO_DEVICE = DeviceHash(bytes(32))


async def consume_login(  # noqa: PLR0913
    connection: AsyncConnection,
    buckets: LoginBuckets,
    *,
    device_hash: DeviceHash | None,
    user_id: UUID | None,
    device_lifetime: float,
    reserved_for: float,
) -> Consumption:
    """Consume a log-in attempt, as `LoginBuckets` says. ``user_id`` is ``None`` for unknown names.

    The attempt counts as in flight until it is settled, for ``reserved_for`` seconds at the most.
    """
    named = {
        **{f"network_{level}": each for level, each in enumerate(buckets.networks)},
        **{f"network_and_name_{level}": e for level, e in enumerate(buckets.networks_and_name)},
        "name": buckets.name,
        "log_ins": buckets.log_ins,
        "device": buckets.device,
        "device_log_ins": buckets.device_log_ins,
    }
    parameters = {
        **_parameters(named),
        "device_hash": device_hash or NO_DEVICE,
        "user_id": user_id or NO_USER,
        "device_lifetime": timedelta(seconds=device_lifetime),
        "failures": buckets.failures.id,
        "failures_tolerance": timedelta(seconds=buckets.failures.burst_tolerance),
        "failures_period": buckets.failures.burst_tolerance + buckets.failures.emission_interval,
        "reserved_for": timedelta(seconds=reserved_for),
    }
    statement = _consume_login(len(buckets.networks))
    return _consumption((await connection.execute(statement, parameters)).all())


def settling(count: int, condition: str = "") -> str:
    """Return SQL that settles ``count`` charges, locked in the order they are given.

    ``condition`` is one more on which it does so. `charge_types` has the types of its parameters.
    """
    rows = ", ".join(
        f"({number}, :charge_{number}, :charge_{number}_consumed, :charge_{number}_refunded)"
        for number in range(count)
    )
    return f"""
        UPDATE rate_limit
        SET tat = rate_limit.tat - locked.refunded,
            reserved = greatest('0', rate_limit.reserved - locked.consumed)
        FROM (
            SELECT rate_limit.bucket, charge.consumed, charge.refunded
            FROM (VALUES {rows}) AS charge (position, bucket, consumed, refunded)
            JOIN rate_limit ON rate_limit.bucket = charge.bucket {condition}
            ORDER BY charge.position
            FOR UPDATE OF rate_limit
        ) AS locked
        WHERE rate_limit.bucket = locked.bucket
    """  # noqa: S608


def charge_types(count: int) -> list[BindParameter[Any]]:
    """Return the parameters of `settling`, with their types."""
    return [
        each
        for number in range(count)
        for each in (
            bindparam(f"charge_{number}", type_=LargeBinary),
            bindparam(f"charge_{number}_consumed", type_=Interval),
            bindparam(f"charge_{number}_refunded", type_=Interval),
        )
    ]


def charge_parameters(charges: Sequence[Charge]) -> dict[str, bytes | timedelta]:
    """Return the values of the parameters of `settling`."""
    parameters: dict[str, bytes | timedelta] = {}
    for number, charge in enumerate(charges):
        parameters[f"charge_{number}"] = charge.bucket
        parameters[f"charge_{number}_consumed"] = timedelta(seconds=charge.consumed)
        parameters[f"charge_{number}_refunded"] = timedelta(seconds=charge.refunded)
    return parameters


# By the number of charges: an array of them would cost asyncpg a look-up of its type.
@cache
def _settle(count: int) -> TextClause:
    return text(settling(count)).bindparams(*charge_types(count))


async def settle(connection: AsyncConnection, charges: Sequence[Charge]) -> None:
    """End the reservation of these charges, in the order of `consume`, and refund what they say."""
    await connection.execute(_settle(len(charges)), charge_parameters(charges))


# Further failures are not counted once the excess is what a period restores.
@cache
def _settle_failure(count: int) -> TextClause:
    return text(
        f"""
        WITH settled AS ({settling(count)} RETURNING true)
        INSERT INTO rate_limit AS held (bucket, tat)
        SELECT :failures, clock_timestamp() + :failures_interval
        FROM (SELECT count(*) FROM settled) AS ordered
        ON CONFLICT (bucket) DO UPDATE
        SET tat = least(
            greatest(held.tat, clock_timestamp()) + :failures_interval,
            clock_timestamp() + 2 * :failures_tolerance + :failures_interval
        )
        """  # noqa: S608
    ).bindparams(
        *charge_types(count),
        bindparam("failures", type_=LargeBinary),
        bindparam("failures_interval", type_=Interval),
        bindparam("failures_tolerance", type_=Interval),
    )


async def settle_failure(
    connection: AsyncConnection, charges: Sequence[Charge], failures: Bucket
) -> None:
    """End the reservation of these charges, as `settle` does, and count a failure."""
    parameters = {**charge_parameters(charges), **_parameters({"failures": failures})}
    await connection.execute(_settle_failure(len(charges)), parameters)


def _parameters(buckets: Mapping[str, Bucket]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for name, bucket in buckets.items():
        parameters[name] = bucket.id
        parameters[f"{name}_interval"] = timedelta(seconds=bucket.emission_interval)
        parameters[f"{name}_tolerance"] = timedelta(seconds=bucket.burst_tolerance)
    return parameters


def _consumption(rows: Sequence[Row[Any]]) -> Consumption:
    complete: dict[int, bool] = {}
    for row in rows:
        complete[row.clause] = complete.get(row.clause, True) and row.is_consumed
    is_required_complete = complete.pop(REQUIRED)
    first = rows[0]
    return Consumption(
        is_allowed=is_required_complete and (not complete or any(complete.values())),
        charges=[Charge(row.bucket, row.charge.total_seconds()) for row in rows if row.is_consumed],
        blocked_for=max(0.0, first.blocked_for.total_seconds()),
        blocked_by_reservations=first.blocked_by_reservations,
        is_known_device=first.is_known,
        pressure=first.pressure,
    )
