"""Consuming and settling attempts, as far as only the database shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256

import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.database import Database
from service.storage.log_in_attempts import LoginBuckets, attempt_log_in
from service.storage.rate_limits import (
    Bucket,
    Charge,
    Consumption,
    consume,
    settle,
    settle_failure,
)
from tests.databases import held, wait_for_lock_waiters

HOUR = 3600.0


def bucket(id: bytes, *, interval: float, tolerance: float) -> Bucket:  # noqa: A002
    """Return a bucket, with times in hours."""
    return Bucket(id=id, emission_interval=interval * HOUR, burst_tolerance=tolerance * HOUR)


ADDRESS = bucket(b"address", interval=1, tolerance=9)
PAIR = bucket(b"pair", interval=1, tolerance=0)
NAME = bucket(b"name", interval=1, tolerance=3)
PLENTY = bucket(b"plenty", interval=0, tolerance=9)


def login_buckets(
    *networks: Bucket, pairs: Sequence[Bucket] = (PAIR,), name: Bucket = NAME
) -> LoginBuckets:
    def named(id: bytes) -> Bucket:  # noqa: A002
        return replace(PLENTY, id=id)

    return LoginBuckets(
        networks=networks or (ADDRESS,),
        networks_and_name=pairs,
        name=name,
        networks_and_user=[named(b"pair of user")],
        user=named(b"user"),
        log_ins=named(b"log-ins"),
        device=named(b"device"),
        device_log_ins=named(b"device log-ins"),
        failures=named(b"failures"),
    )


async def consume_one(connection: AsyncConnection, each: Bucket) -> Consumption:
    return await consume(connection, [each], reserved_for=HOUR)


async def log_in(
    connection: AsyncConnection,
    buckets: LoginBuckets,
    *,
    username: str | None = "unknown",
    address: str | None = None,
) -> Consumption:
    """Consume an attempt of an unknown user, from an unknown device."""
    consumption, key = await attempt_log_in(
        connection,
        buckets,
        username=username,
        address=address,
        device_hash=None,
        device_lifetime=1,
        reserved_for=HOUR,
    )
    assert key is None
    return consumption


async def tats(connection: AsyncConnection) -> dict[bytes, datetime]:
    rows = await connection.execute(text("SELECT bucket, tat FROM rate_limit"))
    return {row.bucket: row.tat for row in rows}


def refunds(consumption: Consumption) -> list[Charge]:
    return [replace(each, refunded=each.consumed) for each in consumption.charges]


# The buckets of a user; there is none, so they are those of the name.
OF_USER = {sha256(kind + b"unknown").digest(): kind for kind in (b"pair of user", b"user")}


def charged(consumption: Consumption) -> list[bytes]:
    return [OF_USER.get(each.bucket, each.bucket) for each in consumption.charges]


@pytest.mark.parametrize("years_ago", [0, 1])
async def test_a_bucket_allows_its_burst_however_long_it_was_unused(
    database: Database, years_ago: int
) -> None:
    thrice = bucket(b"address", interval=1, tolerance=2)
    async with database.connect() as connection:
        await consume_one(connection, NAME)
        if years_ago:
            await consume_one(connection, thrice)
            await connection.execute(text("UPDATE rate_limit SET tat = now() - interval '1 year'"))
        for _ in range(3):
            consumption = await consume_one(connection, thrice)
            assert consumption.is_allowed
            assert consumption.charges == [Charge(b"address", HOUR)]
        refused = await consume_one(connection, thrice)
        assert not refused.is_allowed
        assert refused.charges == []
        assert refused.blocked_for == pytest.approx(HOUR, abs=60)


@pytest.mark.parametrize(
    ("address", "pair", "name", "hours"),
    [
        (bucket(b"a", interval=0, tolerance=9), bucket(b"p", interval=1, tolerance=1), 2, 1),
        (bucket(b"a", interval=0, tolerance=9), bucket(b"p", interval=3, tolerance=3), 2, 2),
        (bucket(b"a", interval=5, tolerance=5), bucket(b"p", interval=1, tolerance=9), 1, 5),
        (bucket(b"a", interval=1, tolerance=1), bucket(b"p", interval=3, tolerance=3), 2, 2),
    ],
    ids=[
        *("the pair allows first", "the name allows first", "the address is exhausted"),
        "the address allows first",
    ],
)
async def test_an_attempt_is_blocked_until_the_address_and_one_of_the_others_allow_it(
    database: Database, address: Bucket, pair: Bucket, name: float, hours: float
) -> None:
    named = bucket(b"n", interval=name, tolerance=name)
    buckets = login_buckets(address, pairs=[pair], name=named)
    async with database.connect() as connection:
        for _ in range(2):
            assert (await log_in(connection, buckets)).is_allowed
        refused = await log_in(connection, buckets)
        assert not refused.is_allowed
        assert refused.blocked_for == pytest.approx(hours * HOUR, abs=60)


async def test_a_refused_attempt_consumes_nothing(database: Database) -> None:
    once = bucket(b"address", interval=1, tolerance=0)
    exhausted = login_buckets(pairs=[PAIR], name=replace(PAIR, id=b"name"))
    async with database.connect() as connection:
        await consume_one(connection, once)
        await log_in(connection, login_buckets(once))
        assert (await tats(connection)).keys() == {b"address"}
        await connection.execute(text("DELETE FROM rate_limit"))
        await log_in(connection, exhausted)
        before = await tats(connection)
        assert not (await log_in(connection, exhausted)).is_allowed
        assert await tats(connection) == before


async def test_a_pair_with_an_attempt_is_enough_when_the_name_is_exhausted(
    database: Database,
) -> None:
    once = bucket(b"name", interval=1, tolerance=0)
    async with database.connect() as connection:
        await consume_one(connection, once)
        consumption = await log_in(connection, login_buckets(name=once))
        assert consumption.is_allowed
        assert charged(consumption) == [b"address", b"log-ins", b"pair", *OF_USER.values()]


async def test_every_network_must_allow_an_attempt_of_the_pair(database: Database) -> None:
    none = bucket(b"name", interval=1, tolerance=0)
    wider = bucket(b"wider pair", interval=1, tolerance=0)
    networks = (ADDRESS, replace(ADDRESS, id=b"wider"))
    async with database.connect() as connection:
        for exhausted in (none, wider):
            await consume_one(connection, exhausted)
        refused = await log_in(connection, login_buckets(*networks, pairs=[PAIR, wider], name=none))
        assert not refused.is_allowed


async def test_a_pair_is_charged_only_if_all_its_networks_allow_the_attempt(
    database: Database,
) -> None:
    wider = bucket(b"wider pair", interval=1, tolerance=0)
    networks = (ADDRESS, replace(ADDRESS, id=b"wider"))
    async with database.connect() as connection:
        await consume_one(connection, wider)
        consumption = await log_in(connection, login_buckets(*networks, pairs=[PAIR, wider]))
        assert consumption.is_allowed
        own = [b"address", b"wider", b"log-ins", b"name"]
        assert charged(consumption) == [*own, *OF_USER.values()]


async def test_a_pair_of_a_user_is_charged_only_if_all_its_networks_allow_the_attempt(
    database: Database,
) -> None:
    wider = bucket(b"wider pair of user", interval=1, tolerance=0)
    of_unknown = replace(wider, id=sha256(wider.id + b"unknown").digest())
    buckets = login_buckets()
    buckets = replace(buckets, networks_and_user=[*buckets.networks_and_user, wider])
    async with database.connect() as connection:
        await consume_one(connection, of_unknown)
        consumption = await log_in(connection, buckets)
        assert charged(consumption) == [b"address", b"log-ins", b"pair", b"name", b"user"]


async def test_an_attempt_does_not_wait_for_the_row_of_an_exhausted_name(
    database: Database, database_url: str
) -> None:
    """Which the attempts of all strangers come to."""
    once = bucket(b"name", interval=1, tolerance=0)
    async with database.connect() as connection:
        await consume_one(connection, once)
        with held(database_url, "SELECT FROM rate_limit FOR UPDATE"):
            assert (await log_in(connection, login_buckets(name=once))).is_allowed


async def test_a_refund_restores_one_emission_interval_of_its_bucket(database: Database) -> None:
    async with database.connect() as connection:
        consumed = await consume_one(connection, ADDRESS)
        await consume_one(connection, ADDRESS)
        await consume_one(connection, NAME)
        before = await tats(connection)
        await settle(connection, refunds(consumed))
        after = await tats(connection)
    assert (before[b"address"] - after[b"address"]).total_seconds() == HOUR
    assert before[b"name"] == after[b"name"]


async def test_an_attempt_is_judged_by_the_time_it_locks_the_bucket(database: Database) -> None:
    twice = bucket(b"address", interval=1, tolerance=1)
    async with database.transaction() as slow, database.connect() as quick:
        await slow.execute(text("SELECT now()"))
        await consume_one(quick, twice)
        assert (await consume_one(slow, twice)).is_allowed
        assert not (await consume_one(slow, twice)).is_allowed


@pytest.mark.parametrize(
    ("lost", "rest"),
    [
        (("pair", "name"), ["address", "log-ins"]),
        (("address",), ["log-ins", "pair", "name"]),
        (("log-ins",), ["address", "pair", "name"]),
    ],
    ids=["either of pair and name", "the address", "the log-ins"],
)
async def test_an_attempt_that_finds_room_and_loses_it_consumes_a_part(
    database: Database, database_url: str, lost: Sequence[str], rest: list[str]
) -> None:
    """Which is refunded; the next one sees that there is no room."""
    once = bucket(b"name", interval=1, tolerance=0)
    buckets = login_buckets(pairs=[replace(once, id=b"pair")], name=once)
    async with database.connect() as connection:
        await log_in(connection, buckets)
        await connection.execute(text("UPDATE rate_limit SET tat = now()"))
        used_up = f"""UPDATE rate_limit SET tat = now() + interval '10 hours'
            WHERE bucket IN ({", ".join(f"'{each}'" for each in lost)})"""
        with held(database_url, used_up, end="COMMIT"):
            losing = asyncio.create_task(log_in(connection, buckets))
            await asyncio.to_thread(wait_for_lock_waiters, database_url)
        consumption = await losing
        assert not consumption.is_allowed
        assert charged(consumption) == [*(each.encode() for each in rest), *OF_USER.values()]


async def test_only_consumed_buckets_are_charged(database: Database) -> None:
    frequent = Bucket(id=b"address", emission_interval=1.0, burst_tolerance=HOUR)
    buckets = login_buckets(frequent)
    async with database.connect() as connection:
        first = await log_in(connection, buckets)
        second = await log_in(connection, buckets)
        assert charged(first) == [b"address", b"log-ins", b"pair", b"name", *OF_USER.values()]
        assert charged(second) == [b"address", b"log-ins", b"name", *OF_USER.values()]
        await settle(connection, refunds(second))
        for _ in range(3):
            assert (await log_in(connection, buckets)).is_allowed
        assert not (await log_in(connection, buckets)).is_allowed


async def test_each_unknown_name_and_address_has_buckets_of_its_own(database: Database) -> None:
    """Strangers would wait for one another's rows."""
    async with database.connect() as connection:
        found = [
            await log_in(connection, login_buckets(), username=username, address=address)
            for username, address in (("a", None), ("b", None), (None, "a@b.c"), (None, "b@b.c"))
        ]
    of_users = [{each.bucket for each in consumption.charges[-2:]} for consumption in found]
    assert len(set.union(*of_users)) == 2 * len(found)


async def test_an_attempt_blocked_by_attempts_in_flight_only_may_wait(database: Database) -> None:
    once = bucket(b"address", interval=1, tolerance=0)
    async with database.connect() as connection:
        in_flight = await consume_one(connection, once)
        blocked = await consume_one(connection, once)
        assert (blocked.is_allowed, blocked.blocked_by_reservations) == (False, True)
        await settle(connection, in_flight.charges)
        blocked = await consume_one(connection, once)
        assert (blocked.is_allowed, blocked.blocked_by_reservations) == (False, False)


@pytest.mark.parametrize("failed", ["pair", "name"])
async def test_an_attempt_may_wait_for_one_in_flight_that_took_the_other_way(
    database: Database, failed: str
) -> None:
    pair, name = (bucket(each, interval=1, tolerance=0) for each in (b"pair", b"name"))
    buckets = login_buckets(pairs=[pair], name=name)
    async with database.connect() as connection:
        failure = await consume_one(connection, pair if failed == "pair" else name)
        await settle(connection, failure.charges)
        assert (await log_in(connection, buckets)).is_allowed
        blocked = await log_in(connection, buckets)
        assert (blocked.is_allowed, blocked.blocked_by_reservations) == (False, True)


async def test_an_attempt_blocked_by_a_failure_does_not_wait(database: Database) -> None:
    twice = bucket(b"address", interval=1, tolerance=1)
    async with database.connect() as connection:
        failed = await consume_one(connection, twice)
        await settle(connection, failed.charges)
        await consume_one(connection, twice)
        await connection.execute(text("UPDATE rate_limit SET tat = tat + interval '1 hour'"))
        blocked = await consume_one(connection, twice)
        assert (blocked.is_allowed, blocked.blocked_by_reservations) == (False, False)


async def test_a_reservation_ends_with_its_time(database: Database) -> None:
    once = bucket(b"address", interval=1, tolerance=0)
    async with database.connect() as connection:
        await consume(connection, [once], reserved_for=0)
        assert not (await consume_one(connection, once)).blocked_by_reservations
        await connection.execute(text("UPDATE rate_limit SET tat = now()"))
        await consume_one(connection, once)
        reserved = await connection.execute(text("SELECT reserved FROM rate_limit"))
        assert reserved.scalar_one() == timedelta(hours=1)


async def test_failures_beyond_twice_their_limit_are_not_counted(database: Database) -> None:
    limit = bucket(b"failures", interval=1, tolerance=4)
    async with database.connect() as connection:
        consumption = await consume_one(connection, PLENTY)
        for _ in range(20):
            await settle_failure(connection, consumption.charges, limit)
        ahead = text("SELECT tat - now() FROM rate_limit WHERE bucket = 'failures'")
        found = (await connection.execute(ahead)).scalar_one()
    assert found.total_seconds() == pytest.approx(9 * HOUR, abs=60)


@pytest.mark.parametrize("way", ["hashjoin", "mergejoin"])
@pytest.mark.parametrize("order", [1, -1])
async def test_buckets_are_locked_in_the_order_they_are_given(
    database: Database, database_url: str, order: int, way: str
) -> None:
    """Whatever their order in the table, and in its index, and however the tables are joined."""
    buckets = [replace(ADDRESS, id=each) for each in (b"z", b"y", b"x")]
    charges = [Charge(each.id, HOUR, HOUR) for each in buckets]
    async with database.connect() as connection, database.connect() as another:
        for each in buckets[::order]:
            await consume_one(connection, each)
        await connection.execute(text("UPDATE rate_limit SET tat = now()"))
        for join in {"nestloop", "hashjoin", "mergejoin"} - {way}:
            await connection.execute(text(f"SET enable_{join} = off"))
        assert charged(await consume(connection, buckets, reserved_for=1)) == [b"z", b"y", b"x"]
        for statement in (
            settle(connection, charges),
            settle_failure(connection, charges, PLENTY),
            consume(connection, buckets, reserved_for=1),
        ):
            with held(database_url, "SELECT FROM rate_limit WHERE bucket = 'z' FOR UPDATE"):
                running = asyncio.create_task(statement)
                await asyncio.to_thread(wait_for_lock_waiters, database_url)
                others = "SELECT FROM rate_limit WHERE bucket <> 'z' FOR UPDATE NOWAIT"
                await another.execute(text(others))
            await running
