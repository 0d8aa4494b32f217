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


def run_until_all_are_delivered(loop: EventLoop) -> None:
    """Run until a later signal has been delivered."""

    async def receive_another() -> None:
        delivered = asyncio.Event()
        uvloop.Loop.add_signal_handler(loop, signal.SIGUSR1, delivered.set)
        await asyncio.sleep(0)
        signal.raise_signal(signal.SIGUSR1)
        await delivered.wait()

    loop.run_until_complete(receive_another())


@pytest.mark.parametrize("received", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_sent_before_the_loop_runs_is_delivered_when_it_runs(
    loop: EventLoop, received: signal.Signals
) -> None:
    delivered: list[str] = []
    loop.add_signal_handler(received, delivered.append, "stop")
    signal.raise_signal(received)
    run_until_all_are_delivered(loop)
    assert delivered == ["stop"]


def test_a_signal_between_two_runs_is_delivered_in_the_second(loop: EventLoop) -> None:
    delivered: list[str] = []
    loop.add_signal_handler(signal.SIGTERM, delivered.append, "stop")
    run_until_all_are_delivered(loop)
    signal.raise_signal(signal.SIGTERM)
    assert delivered == []
    run_until_all_are_delivered(loop)
    assert delivered == ["stop"]


def test_only_the_first_signal_is_delivered(loop: EventLoop) -> None:
    delivered: list[str] = []
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, delivered.append, each.name)
        signal.raise_signal(each)
    run_until_all_are_delivered(loop)
    assert len(delivered) == 1


def test_blocked_signals_are_delivered_afterwards() -> None:
    received = threading.Event()
    handler = signal.signal(signal.SIGTERM, lambda *_: received.set())
    try:
        with signals_blocked():
            signal.raise_signal(signal.SIGTERM)
            assert not received.is_set()
        assert received.is_set()
    finally:
        signal.signal(signal.SIGTERM, handler)
