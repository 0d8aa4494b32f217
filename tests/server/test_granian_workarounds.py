from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator

import pytest
import uvloop

from service.server.granian_workarounds import EventLoop, signals_blocked, unblock_signals


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    loop = EventLoop()
    yield loop
    loop.close()
    for each, handler in handlers.items():
        signal.signal(each, handler)
    unblock_signals()


def run_until_all_is_heard(loop: EventLoop) -> None:
    """Run until another signal has come, which was sent after all that waited."""

    async def hear_another() -> None:
        heard = asyncio.Event()
        uvloop.Loop.add_signal_handler(loop, signal.SIGUSR1, heard.set)
        await asyncio.sleep(0)
        signal.raise_signal(signal.SIGUSR1)
        await heard.wait()

    loop.run_until_complete(hear_another())


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_loop_stands_still_is_heard_when_it_runs(
    loop: EventLoop, told: signal.Signals
) -> None:
    heard: list[str] = []
    loop.add_signal_handler(told, heard.append, "stop")
    signal.raise_signal(told)
    run_until_all_is_heard(loop)
    assert heard == ["stop"]


def test_a_signal_between_two_runs_is_heard_in_the_second(loop: EventLoop) -> None:
    heard: list[str] = []
    loop.add_signal_handler(signal.SIGTERM, heard.append, "stop")
    run_until_all_is_heard(loop)
    signal.raise_signal(signal.SIGTERM)
    assert heard == []
    run_until_all_is_heard(loop)
    assert heard == ["stop"]


def test_who_is_told_twice_hears_it_once(loop: EventLoop) -> None:
    heard: list[str] = []
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, heard.append, each.name)
        signal.raise_signal(each)
    run_until_all_is_heard(loop)
    assert len(heard) == 1


def test_held_signals_come_afterwards() -> None:
    told = threading.Event()
    handler = signal.signal(signal.SIGTERM, lambda *_: told.set())
    try:
        with signals_blocked():
            signal.raise_signal(signal.SIGTERM)
            assert not told.is_set()
        assert told.is_set()
    finally:
        signal.signal(signal.SIGTERM, handler)
