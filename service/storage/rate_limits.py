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
from typing import Any

from msgspec import Struct
from sqlalchemy import BindParameter, Interval, LargeBinary, Text, bindparam, text

from service.storage.direct import AnyConnection, DirectStatement


class Bucket(Struct, frozen=True, kw_only=True):
    """One limit for one subject, whose digest is ``id``; the times are in seconds."""

    id: bytes
    emission_interval: float
    burst_tolerance: float


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
    ``pressure``, 0 to 1, is by how much the failures of all users exceed their limit. An attempt
    that is allowed and not ``is_genuine`` must fail, and look like any that fails.
    """

    is_allowed: bool
    is_genuine: bool
    charges: list[Charge]
    blocked_for: float
    blocked_by_reservations: bool
    is_known_device: bool
    pressure: float


# Clauses of the condition on which an attempt is allowed: all buckets of the first, and all of
# either of the two next. By the last two, of which again all of either are needed, it is decided
# whether an allowed attempt counts, which nobody is told.
REQUIRED, ONE_WAY, ANOTHER_WAY, ONE_SECRET_WAY, ANOTHER_SECRET_WAY = range(5)

# Whom a bucket concerns.
EVERYONE, UNKNOWN_DEVICE, KNOWN_DEVICE = "e", "u", "k"

# With a pressure of 1 an attempt from an unknown device costs its address ten times as much.
MAX_SURCHARGE = 9


class Wanted(Struct, frozen=True):
    """A bucket that an attempt needs: by which clause, from which devices.

    The bucket's id is that of a kind of bucket if there is one ``of_each_user``.
    """

    bucket: Bucket
    clause: int = REQUIRED
    concerns: str = EVERYONE
    is_surcharged: bool = False
    of_each_user: bool = False


# Without known devices and pressure: each bucket concerns every attempt.
SAME_FOR_ALL = "SELECT false AS is_known"
NO_USER = "CAST('' AS bytea)"
NO_PRESSURE = "SELECT 0.0 AS value"


def consuming(  # noqa: PLR0913
    *,
    before: str = "",
    known: str,
    pressure: str,
    user: str = NO_USER,
    columns: str = "",
    joined: str = "",
) -> str:
    """Return SQL that consumes an attempt. `wanted_parameters` has its parameters.

    ``known`` and ``pressure`` are queries that select ``is_known`` and ``value``. ``before`` has
    further common table expressions, each followed by a comma; ``columns`` are further columns of
    the result, each preceded by a comma; ``joined`` is the JOIN clause that they come from.
    ``user`` is an expression for the bytes by which the buckets of each user differ.

    It judges by what it sees when it begins, and once more when it has locked a row: of
    simultaneous attempts some may consume a part only, which is to be refunded. Lists travel as
    text: arrays would cost asyncpg a look-up of their types.
    """
    return f"""
    WITH {before} known AS MATERIALIZED ({known}), pressure AS MATERIALIZED ({pressure}),
    wanted AS MATERIALIZED (
        SELECT position, CAST(clause AS integer) AS clause, charge,
               CASE WHEN of_each_user = 'True' THEN sha256(decode(id, 'hex') || {user})
                    ELSE decode(id, 'hex') END AS bucket,
               make_interval(secs => greatest(0, room - (charge - seconds))) AS room
        FROM known, pressure, ROWS FROM (
            string_to_table(:clauses, ','), string_to_table(:concerns, ','),
            string_to_table(:surcharges, ','), string_to_table(:ids, ','),
            string_to_table(:users, ','), string_to_table(:intervals, ','),
            string_to_table(:tolerances, ',')
        ) WITH ORDINALITY AS listed (
            clause, concerns, surcharge, id, of_each_user, emission_interval, tolerance, position
        ),
        LATERAL (
            SELECT CAST(emission_interval AS float) AS seconds, CAST(tolerance AS float) AS room
        ) AS parsed,
        LATERAL (
            SELECT seconds * (1 + CAST(surcharge AS integer) * pressure.value) AS charge
        ) AS charged
        WHERE concerns = '{EVERYONE}' OR (concerns = '{KNOWN_DEVICE}') = known.is_known
    ),
    judged AS MATERIALIZED (
        SELECT wanted.*, make_interval(secs => charge) AS reserve,
               coalesce(tat - room - clock_timestamp(), '0') AS full_for,
               CASE WHEN reserved_until > clock_timestamp() THEN reserved ELSE '0' END AS reserved
        FROM wanted LEFT JOIN rate_limit USING (bucket)
    ),
    blocked AS MATERIALIZED (
        SELECT (max(full_for) FILTER (WHERE clause = {REQUIRED})) AS required,
               (max(full_for) FILTER (WHERE clause = {ONE_WAY})) AS one_way,
               (max(full_for) FILTER (WHERE clause = {ANOTHER_WAY})) AS another_way,
               (max(full_for) FILTER (WHERE clause = {ONE_SECRET_WAY})) AS one_secret_way,
               (max(full_for) FILTER (WHERE clause = {ANOTHER_SECRET_WAY})) AS another_secret_way,
               (max(full_for - reserved) FILTER (WHERE clause = {REQUIRED})) AS required_later,
               least(
                   max(full_for - reserved) FILTER (WHERE clause = {ONE_WAY}),
                   max(full_for - reserved) FILTER (WHERE clause = {ANOTHER_WAY})
               ) AS either_later
        FROM judged
    ),
    consumed AS (
        INSERT INTO rate_limit AS held (bucket, tat, reserved, reserved_until)
        SELECT bucket, clock_timestamp() + reserve, reserve, clock_timestamp() + :reserved_for
        FROM judged, blocked
        WHERE greatest(required, least(one_way, another_way)) <= '0'
          AND (clause <> {ONE_WAY} OR one_way <= '0')
          AND (clause <> {ANOTHER_WAY} OR another_way <= '0')
          AND (clause <> {ONE_SECRET_WAY} OR one_secret_way <= '0')
          AND (clause <> {ANOTHER_SECRET_WAY} OR another_secret_way <= '0')
        ORDER BY position
        ON CONFLICT (bucket) DO UPDATE
        SET tat = greatest(held.tat, clock_timestamp()) + excluded.reserved,
            reserved = excluded.reserved + CASE
                WHEN held.reserved_until > clock_timestamp() THEN held.reserved ELSE '0'
            END,
            reserved_until = excluded.reserved_until
        WHERE held.tat <= clock_timestamp()
            + (SELECT room FROM judged WHERE judged.bucket = excluded.bucket)
        RETURNING bucket
    )
    SELECT judged.bucket, judged.clause, judged.charge, consumed.bucket IS NOT NULL AS is_consumed,
           greatest(required, least(one_way, another_way)) AS blocked_for,
           greatest(required_later, either_later) <= '0' AS blocked_by_reservations,
           known.is_known, CAST(pressure.value AS float) AS pressure {columns}
    FROM known, pressure, blocked, judged LEFT JOIN consumed USING (bucket) {joined}
    ORDER BY judged.position
    """  # noqa: S608


WANTED_TYPES: list[BindParameter[Any]] = [
    bindparam("reserved_for", type_=Interval),
    *(
        bindparam(name, type_=Text)
        for name in (
            *("clauses", "concerns", "surcharges", "ids", "users", "intervals", "tolerances"),
        )
    ),
]


def wanted_parameters(wanted: Sequence[Wanted], reserved_for: float) -> dict[str, Any]:
    """Return the values of the parameters of `consuming`."""
    return {
        "reserved_for": timedelta(seconds=reserved_for),
        "clauses": ",".join(str(each.clause) for each in wanted),
        "concerns": ",".join(each.concerns for each in wanted),
        "surcharges": ",".join(str(MAX_SURCHARGE * each.is_surcharged) for each in wanted),
        "ids": ",".join(each.bucket.id.hex() for each in wanted),
        "users": ",".join(str(each.of_each_user) for each in wanted),
        "intervals": ",".join(repr(each.bucket.emission_interval) for each in wanted),
        "tolerances": ",".join(repr(each.bucket.burst_tolerance) for each in wanted),
    }


CONSUME = text(consuming(known=SAME_FOR_ALL, pressure=NO_PRESSURE)).bindparams(*WANTED_TYPES)
_CONSUME = DirectStatement(CONSUME)


async def consume(
    connection: AnyConnection, buckets: Sequence[Bucket], *, reserved_for: float
) -> Consumption:
    """Consume an attempt of each of these buckets, if all of them allow it.

    The attempt counts as in flight until it is settled, for ``reserved_for`` seconds at the most.
    """
    wanted = [Wanted(each) for each in buckets]
    return consumption(await _CONSUME.all(connection, wanted_parameters(wanted, reserved_for)))


def consumption(rows: Sequence[Any]) -> Consumption:
    """Convert the rows of `consuming`."""
    complete: dict[int, bool] = {}
    for row in rows:
        complete[row.clause] = complete.get(row.clause, True) and row.is_consumed
    first = rows[0]
    return Consumption(
        is_allowed=complete[REQUIRED] and _either(complete, ONE_WAY, ANOTHER_WAY),
        is_genuine=_either(complete, ONE_SECRET_WAY, ANOTHER_SECRET_WAY),
        charges=[Charge(row.bucket, row.charge) for row in rows if row.is_consumed],
        blocked_for=max(0.0, first.blocked_for.total_seconds()),
        blocked_by_reservations=first.blocked_by_reservations,
        is_known_device=first.is_known,
        pressure=first.pressure,
    )


def _either(complete: Mapping[int, bool], one: int, another: int) -> bool:
    """Return whether all buckets of either clause were consumed, or neither has any."""
    ways = [complete[clause] for clause in (one, another) if clause in complete]
    return not ways or any(ways)


def settling(condition: str = "") -> str:
    """Return SQL that settles charges, locked in the order they are given.

    ``condition`` is one more on which it does so. `charge_parameters` has its parameters.
    """
    return f"""
        UPDATE rate_limit
        SET tat = rate_limit.tat - make_interval(secs => locked.refunded),
            reserved = greatest('0', rate_limit.reserved - make_interval(secs => locked.consumed))
        FROM (
            SELECT rate_limit.bucket, CAST(charge.consumed AS float) AS consumed,
                   CAST(charge.refunded AS float) AS refunded
            FROM ROWS FROM (
                string_to_table(:charged, ','), string_to_table(:consumed, ','),
                string_to_table(:refunded, ',')
            ) WITH ORDINALITY AS charge (bucket, consumed, refunded, position)
            JOIN rate_limit ON rate_limit.bucket = decode(charge.bucket, 'hex') {condition}
            ORDER BY charge.position
            FOR UPDATE OF rate_limit
        ) AS locked
        WHERE rate_limit.bucket = locked.bucket
    """  # noqa: S608


CHARGE_TYPES = [bindparam(name, type_=Text) for name in ("charged", "consumed", "refunded")]


def charge_parameters(charges: Sequence[Charge]) -> dict[str, Any]:
    """Return the values of the parameters of `settling`."""
    return {
        "charged": ",".join(each.bucket.hex() for each in charges),
        "consumed": ",".join(repr(each.consumed) for each in charges),
        "refunded": ",".join(repr(each.refunded) for each in charges),
    }


SETTLE = text(settling()).bindparams(*CHARGE_TYPES)
_SETTLE = DirectStatement(SETTLE)


async def settle(connection: AnyConnection, charges: Sequence[Charge]) -> None:
    """End the reservation of these charges, in the order of `consume`, and refund what they say."""
    await _SETTLE.all(connection, charge_parameters(charges))


# Further failures are not counted once the excess is what a period restores.
SETTLE_FAILURE = text(
    f"""
    WITH settled AS ({settling()} RETURNING true)
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
    *CHARGE_TYPES,
    bindparam("failures", type_=LargeBinary),
    bindparam("failures_interval", type_=Interval),
    bindparam("failures_tolerance", type_=Interval),
)
_SETTLE_FAILURE = DirectStatement(SETTLE_FAILURE)


async def settle_failure(
    connection: AnyConnection, charges: Sequence[Charge], failures: Bucket
) -> None:
    """End the reservation of these charges, as `settle` does, and count a failure."""
    parameters = {
        **charge_parameters(charges),
        "failures": failures.id,
        "failures_interval": timedelta(seconds=failures.emission_interval),
        "failures_tolerance": timedelta(seconds=failures.burst_tolerance),
    }
    await _SETTLE_FAILURE.all(connection, parameters)
