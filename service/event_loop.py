"""The event loop of a worker, which hears every signal."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVarTuple

import uvloop

Ts = TypeVarTuple("Ts")

STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM}


class EventLoop(uvloop.Loop):
    """uvloop, which keeps signals that come while it stands still until it runs.

    uvloop forgets them, and Granian runs it several times over: for the application's start, for
    requests, for its end. Who was told to stop in between would never know. And who is told twice,
    by Ctrl-C and by the parent, is told once: Granian (2.8) can hang of the second time. To be
    made, and run, in the main thread.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_told = False
        hold_signals()

    def add_signal_handler(self, sig: int, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        def tell_once() -> None:
            if not self._is_told:
                self._is_told = True
                callback(*args)

        super().add_signal_handler(sig, tell_once)

    def run_forever(self) -> None:
        self.call_soon(release_signals)
        super().run_forever()

    def stop(self) -> None:
        hold_signals()
        super().stop()


def new_event_loop() -> EventLoop:
    """Make the loop, and make it the current one."""
    loop = EventLoop()
    asyncio.set_event_loop(loop)
    return loop


def hold_signals() -> None:
    """Let signals to stop wait, in this thread and in what it starts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def release_signals() -> None:
    """Let signals to stop come, those included that have waited."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


@contextmanager
def signals_held() -> Iterator[None]:
    """Let signals to stop wait for the end of the block; processes that it forks keep waiting."""
    hold_signals()
    try:
        yield
    finally:
        release_signals()
