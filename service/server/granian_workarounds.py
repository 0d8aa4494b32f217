"""Workarounds for Granian 2.8. `tests/server/test_granian_workarounds.py` fails when one can go."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVarTuple

import uvloop
from granian.server.mp import MPServer

Ts = TypeVarTuple("Ts")

STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM}


class EventLoop(uvloop.Loop):
    """A uvloop that loses no signal to stop, and delivers only the first one.

    uvloop drops signals that arrive while it is not running, and Granian runs it several times: for
    the start of the application, for requests, for its end. A worker would miss a signal that
    arrives between two runs. After two signals, of Ctrl-C and of the supervisor for example,
    Granian can hang. Create and run it in the main thread.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_stopping = False
        block_signals()

    def add_signal_handler(self, sig: int, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Call ``callback`` for the first signal only."""

        def handle_first() -> None:
            if not self._is_stopping:
                self._is_stopping = True
                callback(*args)

        super().add_signal_handler(sig, handle_first)

    def run_forever(self) -> None:
        """Run; signals that arrived before are delivered now."""
        self.call_soon(unblock_signals)
        super().run_forever()

    def stop(self) -> None:
        """Stop; signals are kept until the next run."""
        block_signals()
        super().stop()


def new_event_loop() -> EventLoop:
    """Create an event loop and make it the current one."""
    loop = EventLoop()
    asyncio.set_event_loop(loop)
    return loop


def block_signals() -> None:
    """Keep signals to stop pending, in this thread and in processes that it forks."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def unblock_signals() -> None:
    """Deliver signals to stop, pending ones included."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Keep signals to stop pending in the body of the context, and in processes that it forks."""
    block_signals()
    try:
        yield
    finally:
        unblock_signals()


class AnnouncingServer(MPServer):
    """Granian's supervisor, which calls ``on_listening`` once connections are accepted.

    Granian announces that it listens before its workers do.
    """

    on_listening: Callable[[], None]

    def startup(self, spawn_target: Any, target_loader: Any) -> None:
        """Start the workers, with signals blocked until their loops run."""
        with signals_blocked():
            super().startup(spawn_target, target_loader)  # type: ignore[no-untyped-call]
        # After the workers have been forked: forking a process with threads is unsafe.
        threading.Thread(target=self._announce, name="announcer", daemon=True).start()

    def _announce(self) -> None:
        while not self.interrupt_signal:
            try:
                socket.create_connection((self.bind_addr, self.bind_port), timeout=1).close()
            except OSError:
                time.sleep(0.01)
            else:
                self.on_listening()
                return


def require_free_address(host: str, port: int) -> None:
    """Check that nothing listens on an address. Raises `OSError`.

    Granian shares its port with any program that asks for it (SO_REUSEPORT): requests would be
    divided between two services.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
