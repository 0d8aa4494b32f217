"""Simultaneous lookups are batched, and none of them notices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from math import inf
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.storage.batching import Batcher, BatcherClosed
from tests.services import PATIENCE


class Table:
    """A table that changes, and queries that take as long as the test decides."""

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}
        self.queries: list[list[int]] = []
        self.deadlines: list[float] = []
        self.gates: list[asyncio.Future[None]] = []

    async def query(self, keys: list[int], deadline: float) -> Mapping[int, int]:
        self.queries.append(keys)
        self.deadlines.append(deadline)
        seen = {key: self.rows[key] for key in keys if key in self.rows}
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        await gate
        return seen

    def answer(self, error: Exception | None = None) -> None:
        """Finish the query under way."""
        gate = self.gates[-1]
        if error is None:
            gate.set_result(None)
        else:
            gate.set_exception(error)


async def settle() -> None:
    """Run all tasks until they wait."""
    for _ in range(10):
        await asyncio.sleep(0)


def get_all(batcher: Batcher[int, int], keys: range) -> list[asyncio.Task[int | None]]:
    return [asyncio.create_task(batcher.get(key)) for key in keys]


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def batcher(table: Table) -> Batcher[int, int]:
    return Batcher(table.query, max_batch_size=4, tick=PATIENCE)


async def test_a_single_lookup_is_queried_immediately(
    table: Table, batcher: Batcher[int, int]
) -> None:
    table.rows = {1: 10}
    (task,) = get_all(batcher, range(1, 2))
    await settle()
    table.answer()
    assert await task == 10
    assert table.queries == [[1]]


async def test_a_missing_key_is_none(table: Table, batcher: Batcher[int, int]) -> None:
    (task,) = get_all(batcher, range(1))
    await settle()
    table.answer()
    assert await task is None


async def test_lookups_during_a_query_are_batched_into_the_next(
    table: Table, batcher: Batcher[int, int]
) -> None:
    table.rows = {number: number * 10 for number in range(4)}
    first = get_all(batcher, range(1))
    await settle()
    rest = get_all(batcher, range(1, 4))
    await settle()
    assert table.queries == [[0]]
    table.answer()
    await settle()
    assert table.queries == [[0], [1, 2, 3]]
    table.answer()
    assert await asyncio.gather(*first, *rest) == [0, 10, 20, 30]


async def test_batches_are_bounded_and_in_order_of_arrival(
    table: Table, batcher: Batcher[int, int]
) -> None:
    tasks = get_all(batcher, range(10))
    for _ in range(4):
        await settle()
        table.answer()
    await asyncio.gather(*tasks)
    assert table.queries == [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9]]


async def test_an_error_affects_its_own_batch_only(
    table: Table, batcher: Batcher[int, int]
) -> None:
    table.rows = {9: 90}
    (first,) = get_all(batcher, range(5, 6))
    await settle()
    failing = get_all(batcher, range(3))
    await settle()
    table.answer()
    assert await first is None
    await settle()
    (later,) = get_all(batcher, range(9, 10))
    await settle()
    table.answer(ConnectionError("cut off"))
    for task in failing:
        with pytest.raises(ConnectionError):
            await task
    await settle()
    table.answer()
    assert await later == 90


async def test_a_cancelled_lookup_does_not_affect_others(
    table: Table, batcher: Batcher[int, int]
) -> None:
    table.rows = {number: number for number in range(6)}
    (first,) = get_all(batcher, range(9, 10))
    await settle()
    asked = get_all(batcher, range(3))
    await settle()
    table.answer()
    await first
    await settle()
    waiting = get_all(batcher, range(3, 6))
    await settle()
    asked[1].cancel()
    waiting[1].cancel()
    await settle()
    table.answer()
    await settle()
    table.answer()
    results = await asyncio.gather(*asked, *waiting, return_exceptions=True)
    assert [r for r in results if not isinstance(r, BaseException)] == [0, 2, 3, 5]
    assert [type(r) for r in (results[1], results[4])] == [asyncio.CancelledError] * 2


async def test_cancelling_the_lookup_under_way_does_not_affect_waiting_ones(
    table: Table, batcher: Batcher[int, int]
) -> None:
    table.rows = {1: 10, 2: 20}
    (asking,) = get_all(batcher, range(1))
    await settle()
    waiting = get_all(batcher, range(1, 3))
    await settle()
    asking.cancel()
    await settle()
    table.answer()
    assert await asyncio.gather(*waiting) == [10, 20]


async def test_a_lookup_after_all_were_cancelled_is_answered(
    table: Table, batcher: Batcher[int, int]
) -> None:
    table.rows = {7: 70}
    for task in get_all(batcher, range(2)):
        await settle()
        task.cancel()
    await settle()
    if not table.gates[-1].done():
        table.answer()
    await settle()
    (task,) = get_all(batcher, range(7, 8))
    await settle()
    table.answer()
    assert await task == 70


async def test_closing_fails_all_waiting_lookups(table: Table, batcher: Batcher[int, int]) -> None:
    (first,) = get_all(batcher, range(1))
    await settle()
    tasks = get_all(batcher, range(1, 7))
    await settle()
    table.answer()
    await first
    await settle()
    await batcher.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {BatcherClosed}


def impatient(table: Table) -> Batcher[int, int]:
    return Batcher(table.query, max_batch_size=4, tick=0.001)


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition is true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_a_lookup_fails_at_its_deadline_whatever_it_waits_for(table: Table) -> None:
    """In the queue, and in a batch that is under way."""
    batcher = impatient(table)
    (first,) = get_all(batcher, range(1))
    await settle()
    in_batch = asyncio.create_task(batcher.get(1, monotonic() + 0.05))
    patient = asyncio.create_task(batcher.get(2))
    await settle()
    table.answer()
    await first
    await settle()
    queued = asyncio.create_task(batcher.get(3, monotonic() + 0.05))
    for late in (in_batch, queued):
        with pytest.raises(TimeoutError):
            await late
    assert not patient.done()
    table.gates[1].set_result(None)
    assert await patient is None
    await batcher.close()


async def test_nobody_is_looked_up_who_waits_no_longer(
    table: Table, batcher: Batcher[int, int]
) -> None:
    (first,) = get_all(batcher, range(1))
    await settle()
    cancelled, waiting = get_all(batcher, range(1, 3))
    await settle()
    cancelled.cancel()
    await settle()
    table.answer()
    await settle()
    table.answer()
    await asyncio.gather(first, waiting)
    assert table.queries == [[0], [2]]


async def test_a_query_has_until_the_latest_deadline_of_those_who_ask(
    table: Table, batcher: Batcher[int, int]
) -> None:
    far = monotonic() + 2 * PATIENCE
    tasks = [asyncio.create_task(batcher.get(key, far + key)) for key in (0, 2, 1)]
    await settle()
    table.answer()
    await settle()
    table.answer()
    await asyncio.gather(*tasks)
    assert table.deadlines == [far, far + 2]


async def test_lookups_are_not_held_up_by_a_stuck_query(table: Table) -> None:
    table.rows = {1: 10, 2: 20, 3: 30}
    batcher = impatient(table)
    stuck, second = get_all(batcher, range(1, 3))
    await until(lambda: len(table.queries) == 2)
    table.answer()
    assert await second == 20
    assert not stuck.done()
    (third,) = get_all(batcher, range(3, 4))
    await settle()
    table.answer()
    assert await third == 30
    table.gates[0].set_result(None)
    assert await stuck == 10


async def test_a_batch_that_is_stuck_holds_nobody_up(table: Table) -> None:
    table.rows = {1: 10, 2: 20}
    batcher = impatient(table)
    (first,) = get_all(batcher, range(1))
    await settle()
    (stuck,) = get_all(batcher, range(1, 2))
    await settle()
    table.answer()
    await first
    await settle()
    (second,) = get_all(batcher, range(2, 3))
    await until(lambda: len(table.queries) == 3)
    table.answer()
    assert await second == 20
    table.gates[1].set_result(None)
    assert await stuck == 10


async def test_at_most_one_stuck_query_is_left_behind(table: Table) -> None:
    batcher = impatient(table)
    tasks = get_all(batcher, range(3))
    await until(lambda: len(table.queries) == 2)
    (last,) = get_all(batcher, range(3, 4))
    # Long enough for the second one to be stuck, too.
    await asyncio.sleep(0.05)
    assert len(table.queries) == 2
    table.gates[0].set_result(None)
    await until(lambda: len(table.queries) == 3)
    table.answer()
    assert await last is None
    table.gates[1].set_result(None)
    await asyncio.gather(*tasks)


# What may happen, in whatever order: a lookup begins, a row is written, a query is answered
# or fails, a lookup is given up, or everything that can run runs.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("get"), st.integers(0, 3)),
        st.tuples(st.just("get late"), st.integers(0, 3)),
        st.tuples(st.just("write"), st.integers(0, 3)),
        st.tuples(st.just("answer"), st.integers(0, 3)),
        st.tuples(st.just("fail"), st.integers(0, 3)),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
        st.tuples(st.just("settle"), st.just(0)),
    ),
    max_size=60,
)


# With ticks of no time, every query that is not answered at once is stuck.
@given(STEPS, st.integers(1, 5), st.sampled_from([0, PATIENCE]))
def test_a_lookup_sees_all_writes_before_it(
    steps: list[tuple[str, int]], most: int, tick: float
) -> None:
    """Every lookup ends, in whatever order things happen."""
    asyncio.run(play(steps, most, tick))


async def play(steps: list[tuple[str, int]], most: int, tick: float) -> None:
    table = Table()
    batcher = Batcher(table.query, max_batch_size=most, tick=tick)
    begun: list[tuple[asyncio.Task[Any], int]] = []

    async def get(key: int, deadline: float = inf) -> tuple[int, int | None]:
        version = table.rows.get(key, 0)
        return version, await batcher.get(key, deadline)

    actions: dict[str, Callable[[int], None]] = {
        "get": lambda key: begun.append((asyncio.create_task(get(key)), key)),
        "get late": lambda key: begun.append((asyncio.create_task(get(key, 0)), key)),
        "write": lambda key: table.rows.update({key: table.rows.get(key, 0) + 1}),
        "answer": lambda number: open_gate(table, number, None),
        "fail": lambda number: open_gate(table, number, ConnectionError()),
        "cancel": lambda number: cancel([task for task, _ in begun], number),
        "settle": lambda _: None,
    }
    for step, argument in steps:
        actions[step](argument)
        if step == "settle":
            await settle()
    # The last one finds the batcher as it was at first.
    for task in (*(task for task, _ in begun), asyncio.create_task(get(0))):
        while not task.done():
            await settle()
            open_gate(table, 0, None)
    for task, _ in begun:
        if not task.cancelled() and task.exception() is None:
            version_then, seen = task.result()
            assert (seen or 0) >= version_then
        elif not task.cancelled():
            assert isinstance(task.exception(), ConnectionError | TimeoutError)
    assert all(len(query) <= most for query in table.queries)
    await batcher.close()


def open_gate(table: Table, number: int, error: Exception | None) -> None:
    """Finish one of the queries under way, if there is one."""
    closed = [gate for gate in table.gates if not gate.done()]
    if closed:
        gate = closed[number % len(closed)]
        if error is None:
            gate.set_result(None)
        else:
            gate.set_exception(error)


def cancel(tasks: list[asyncio.Task[Any]], number: int) -> None:
    if number < len(tasks):
        tasks[number].cancel()
