"""Workarounds for Granian and uvloop, all of them needed with 2.8.7 and 0.23.0.

For each `tests/server/test_granian_workarounds.py` has a test that fails when Granian or uvloop no
longer needs it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
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

    - uvloop drops a signal that arrives while it is not running: it is delivered with the next
      signal only. Granian runs it several times: for the start of the application, for requests,
      for its end. No upstream issue is known.
    - A worker hangs after the second signal during the start of the application, and after the
      third later, from Ctrl-C and from the supervisor for example: `WorkerSignal.set` waits for a
      place in a queue of one, and holds the GIL meanwhile. No upstream issue is known; it came with
      Granian 2.8.0 (emmett-framework/granian#899).

    Create and run it in the main thread.
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

    - Granian announces that it listens, and calls its start hook, before it starts the workers
      (emmett-framework/granian#381 asks for an announcement when they are ready).
    - A worker that gets a signal before its loop runs handles it as its supervisor would, which
      stops nothing. No upstream issue is known.
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

    Granian shares its port with any program of the same user that shares it too (SO_REUSEPORT, for
    workers with sockets of their own: emmett-framework/granian#544): requests would be divided
    between two services. Needed as long as Granian does not check it itself.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def stop_with_supervisor() -> None:
    """Stop this process, a worker, when its supervisor is killed.

    Granian's workers would go on, and share the port of the next service. No upstream issue is
    known.
    """
    supervisor = multiprocessing.parent_process()
    if supervisor is None:
        return

    def stop_after_supervisor() -> None:
        supervisor.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop_after_supervisor, name="supervisor-watch", daemon=True).start()
