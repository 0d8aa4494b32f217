"""Look-ups that meet are asked for together, and none of them notices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.storage.batching import Batcher, BatcherClosed


class World:
    """A table that changes, and a question about it that takes as long as the test says."""

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}
        self.questions: list[list[int]] = []
        self.gates: list[asyncio.Future[None]] = []

    async def ask(self, keys: list[int]) -> Mapping[int, int]:
        self.questions.append(keys)
        seen = {key: self.rows[key] for key in keys if key in self.rows}
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        await gate
        return seen

    def answer(self, error: Exception | None = None) -> None:
        """Let the question that is being asked come to its end."""
        gate = self.gates[-1]
        if error is None:
            gate.set_result(None)
        else:
            gate.set_exception(error)


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


def get_all(coalesced: Batcher[int, int], keys: range) -> list[asyncio.Task[int | None]]:
    return [asyncio.create_task(coalesced.get(key)) for key in keys]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def coalesced(world: World) -> Batcher[int, int]:
    return Batcher(world.ask, max_batch_size=4)


async def test_one_look_up_is_asked_for_at_once(world: World, coalesced: Batcher[int, int]) -> None:
    world.rows = {1: 10}
    (task,) = get_all(coalesced, range(1, 2))
    await settle()
    world.answer()
    assert await task == 10
    assert world.questions == [[1]]


async def test_what_is_not_there_is_nothing(world: World, coalesced: Batcher[int, int]) -> None:
    (task,) = get_all(coalesced, range(1))
    await settle()
    world.answer()
    assert await task is None


async def test_what_arrives_during_a_question_is_asked_for_in_the_next(
    world: World, coalesced: Batcher[int, int]
) -> None:
    world.rows = {number: number * 10 for number in range(4)}
    first = get_all(coalesced, range(1))
    await settle()
    rest = get_all(coalesced, range(1, 4))
    await settle()
    assert world.questions == [[0]]
    world.answer()
    await settle()
    assert world.questions == [[0], [1, 2, 3]]
    world.answer()
    assert await asyncio.gather(*first, *rest) == [0, 10, 20, 30]


async def test_a_question_has_an_upper_bound_and_the_order_is_that_of_arrival(
    world: World, coalesced: Batcher[int, int]
) -> None:
    tasks = get_all(coalesced, range(10))
    for _ in range(4):
        await settle()
        world.answer()
    await asyncio.gather(*tasks)
    assert world.questions == [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9]]


async def test_an_error_is_that_of_its_own_question_alone(
    world: World, coalesced: Batcher[int, int]
) -> None:
    world.rows = {9: 90}
    (first,) = get_all(coalesced, range(5, 6))
    await settle()
    failing = get_all(coalesced, range(3))
    await settle()
    world.answer()
    assert await first is None
    await settle()
    (later,) = get_all(coalesced, range(9, 10))
    await settle()
    world.answer(ConnectionError("cut off"))
    for task in failing:
        with pytest.raises(ConnectionError):
            await task
    await settle()
    world.answer()
    assert await later == 90


async def test_a_look_up_that_is_cancelled_harms_no_other(
    world: World, coalesced: Batcher[int, int]
) -> None:
    world.rows = {number: number for number in range(6)}
    (first,) = get_all(coalesced, range(9, 10))
    await settle()
    asked = get_all(coalesced, range(3))
    await settle()
    world.answer()
    await first
    await settle()
    waiting = get_all(coalesced, range(3, 6))
    await settle()
    asked[1].cancel()
    waiting[1].cancel()
    await settle()
    world.answer()
    await settle()
    world.answer()
    results = await asyncio.gather(*asked, *waiting, return_exceptions=True)
    assert [r for r in results if not isinstance(r, BaseException)] == [0, 2, 3, 5]
    assert [type(r) for r in (results[1], results[4])] == [asyncio.CancelledError] * 2


async def test_who_asks_alone_and_is_cancelled_leaves_the_others_their_answers(
    world: World, coalesced: Batcher[int, int]
) -> None:
    world.rows = {1: 10, 2: 20}
    (asking,) = get_all(coalesced, range(1))
    await settle()
    waiting = get_all(coalesced, range(1, 3))
    await settle()
    asking.cancel()
    await settle()
    world.answer()
    assert await asyncio.gather(*waiting) == [10, 20]


async def test_after_everybody_has_gone_the_next_one_is_served(
    world: World, coalesced: Batcher[int, int]
) -> None:
    world.rows = {7: 70}
    for task in get_all(coalesced, range(2)):
        await settle()
        task.cancel()
    await settle()
    if not world.gates[-1].done():
        world.answer()
    await settle()
    (task,) = get_all(coalesced, range(7, 8))
    await settle()
    world.answer()
    assert await task == 70


async def test_closing_lets_nobody_wait_for_ever(
    world: World, coalesced: Batcher[int, int]
) -> None:
    (first,) = get_all(coalesced, range(1))
    await settle()
    tasks = get_all(coalesced, range(1, 7))
    await settle()
    world.answer()
    await first
    await settle()
    await coalesced.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {BatcherClosed}


# What may happen, in whatever order: a look-up begins, a row is written, a question is answered
# or fails, a look-up is given up, or everything that can run runs.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("get"), st.integers(0, 3)),
        st.tuples(st.just("write"), st.integers(0, 3)),
        st.tuples(st.just("answer"), st.just(0)),
        st.tuples(st.just("fail"), st.just(0)),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
        st.tuples(st.just("settle"), st.just(0)),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 5))
def test_a_look_up_sees_all_that_was_written_before_it_began(
    steps: list[tuple[str, int]], most: int
) -> None:
    """And every look-up comes to an end, in whatever order things happen."""
    asyncio.run(play(steps, most))


async def play(steps: list[tuple[str, int]], most: int) -> None:
    world = World()
    coalesced = Batcher(world.ask, max_batch_size=most)
    begun: list[tuple[asyncio.Task[Any], int]] = []

    async def get(key: int) -> tuple[int, int | None]:
        version = world.rows.get(key, 0)
        return version, await coalesced.get(key)

    actions: dict[str, Callable[[int], None]] = {
        "get": lambda key: begun.append((asyncio.create_task(get(key)), key)),
        "write": lambda key: world.rows.update({key: world.rows.get(key, 0) + 1}),
        "answer": lambda _: open_gate(world, None),
        "fail": lambda _: open_gate(world, ConnectionError()),
        "cancel": lambda number: cancel([task for task, _ in begun], number),
        "settle": lambda _: None,
    }
    for step, argument in steps:
        actions[step](argument)
        if step == "settle":
            await settle()
    while not all(task.done() for task, _ in begun):
        await settle()
        open_gate(world, None)
    for task, _ in begun:
        if not task.cancelled() and task.exception() is None:
            version_then, seen = task.result()
            assert (seen or 0) >= version_then
        elif not task.cancelled():
            assert isinstance(task.exception(), ConnectionError)
    assert all(len(question) <= most for question in world.questions)


def open_gate(world: World, error: Exception | None) -> None:
    if world.gates and not world.gates[-1].done():
        world.answer(error)


def cancel(tasks: list[asyncio.Task[Any]], number: int) -> None:
    if number < len(tasks):
        tasks[number].cancel()
