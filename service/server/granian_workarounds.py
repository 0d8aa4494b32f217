"""Workarounds for Granian and uvloop, all of them needed with 2.8.7 and 0.23.0.

For each `tests/server/test_granian_workarounds.py` has a test that fails when Granian or uvloop no
longer needs it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVarTuple

import uvloop

Ts = TypeVarTuple("Ts")

STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM}

# Granian runs the loop of a worker for the start of the application, then for requests.
RUN_FOR_REQUESTS = 2

# How many threads of libuv a worker has. Half of them resolve names (libuv, "Thread pool work
# scheduling"); by default four threads. Names of mail servers or providers whose name servers do
# not answer would take both, and the database could not be connected to.
UV_THREADS = 32


class EventLoop(uvloop.Loop):
    """A uvloop that loses no signal to stop, and delivers only the first one.

    - uvloop drops a signal that arrives while it is not running: it is delivered with the next
      signal only. Granian runs it several times: for the start of the application, for requests,
      for its end. No upstream issue is known.
    - A worker hangs after the second signal during the start of the application, and after the
      third later, from Ctrl-C and from the supervisor for example: `WorkerSignal.set` waits for a
      place in a queue of one, and holds the GIL meanwhile. No upstream issue is known; it came with
      Granian 2.8.0 (emmett-framework/granian#899).
    - `on_accepting` is called when the worker accepts connections. Granian does not tell it: the
      worker begins to listen between two runs of the loop (emmett-framework/granian#381).

    Create and run it in the main thread.
    """

    on_accepting: Callable[[], object] | None = None

    def __init__(self) -> None:
        super().__init__()
        self._is_stopping = False
        self._runs = 0
        block_signals()

    def add_signal_handler(self, sig: int, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Call ``callback`` for the first signal only; a signal that is ignored remains so."""
        if signal.getsignal(sig) is signal.SIG_IGN:
            return

        def handle_first() -> None:
            if not self._is_stopping:
                self._is_stopping = True
                callback(*args)

        super().add_signal_handler(sig, handle_first)

    def run_forever(self) -> None:
        """Run; signals that arrived before are delivered now."""
        self.call_soon(unblock_signals)
        self._runs += 1
        if self._runs == RUN_FOR_REQUESTS and self.on_accepting is not None:
            self.call_soon(self.on_accepting)
        super().run_forever()

    def stop(self) -> None:
        """Stop; signals are kept until the next run."""
        block_signals()
        super().stop()


def new_event_loop() -> EventLoop:
    """Create the event loop of a worker and make it the current one.

    A terminal sends SIGINT and SIGHUP to all processes of the service. The supervisor stops the
    workers: they ignore both, and so do the processes that they start.
    """
    for each in (signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    # It wakes the supervisor.
    signal.set_wakeup_fd(-1)
    os.environ.setdefault("UV_THREADPOOL_SIZE", str(UV_THREADS))
    loop = EventLoop()
    asyncio.set_event_loop(loop)
    return loop


def when_accepting(callback: Callable[[], object]) -> None:
    """Call ``callback`` once this process, a worker, accepts connections."""
    loop = asyncio.get_event_loop()
    if isinstance(loop, EventLoop):
        loop.on_accepting = callback


def block_signals() -> None:
    """Keep signals to stop pending, in this thread and in processes that it forks."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def unblock_signals() -> None:
    """Deliver signals to stop, pending ones included."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Keep signals to stop pending in the body of the context, and in processes that it forks."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def stop_with_supervisor(timeout: float) -> None:
    """Stop this process, a worker, when its supervisor is killed; kill it after ``timeout`` s.

    Granian's workers would go on, and share the port of the next service. No upstream issue is
    known.
    """
    supervisor = multiprocessing.parent_process()
    if supervisor is None:
        return

    def stop_after_supervisor() -> None:
        supervisor.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(timeout)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=stop_after_supervisor, name="supervisor-watch", daemon=True).start()


def fork_workers() -> None:
    """Let Granian fork its workers, on every version of Python.

    It takes the start method of the process: `forkserver` from Python 3.14 on, which it replaces by
    `spawn` (Granian 2.8.7). Spawned workers have neither `new_event_loop` nor the memory that they
    would share with the supervisor.
    """
    multiprocessing.set_start_method("fork", force=True)
