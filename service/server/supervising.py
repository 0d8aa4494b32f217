"""Granian's supervisor, with its own way to watch, replace, drain and stop the workers."""

from __future__ import annotations

import math
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import wait
from typing import Any

import structlog
from granian._granian import SocketHolder
from granian.server.mp import MPServer, WorkerProcess

from service.server.dead_workers import DeadWorkers
from service.server.granian_workarounds import signals_blocked
from service.server.shared_flag import SharedFlag

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Granian's declaration lacks the arguments.
socket_holder: Callable[[int, bool, int], Any] = SocketHolder  # type: ignore[assignment]

# Time between two checks that all workers accept connections, in seconds.
ANNOUNCE_INTERVAL = 0.02


class Supervisor(MPServer):
    """Starts workers, replaces those that die, and stops all of them after a signal.

    What it does differently from Granian 2.8.7; no upstream issues are known except those that are
    named:

    - `on_listening` is called once all workers accept connections. Granian announces that it
      listens, and calls its start hook, before it starts them (emmett-framework/granian#381).
    - A worker is started with signals blocked, until its loop runs. A signal before that would be
      handled as by the supervisor, which stops nothing.
    - A worker that died is replaced however often it dies, later each time. Granian ends after two
      deaths within 5.5 s, and forgets a death during its bookkeeping of another one.
    - The workers are waited for in one thread. Granian has two that wait for the same process: one
      of them can take it for alive, and kills it.
    - SIGTERM drains: with the flag `draining` set, the workers go on for `drain_period` seconds, or
      until another signal. Granian stops them at once.
    - SIGHUP, of a terminal that is closed, stops the service; Granian would restart the workers.
      Where it is ignored (``nohup``), it remains so.
    - A signal ends the wait whenever, and in whatever thread, it arrives. Between the last look for
      signals and the wait, or in another thread, it would be handled after the next one only.
    - Each worker has a socket from `open_socket`, with options that Granian does not set.
    - A Unix socket is removed before the workers stop: else connections are queued in vain.
    """

    on_listening: Callable[[], None]
    on_stopping: Callable[[float], None]
    open_socket: Callable[[], socket.socket]
    draining: SharedFlag
    drain_period: float

    def startup(self, spawn_target: Any, target_loader: Any) -> None:
        """Start the workers."""
        self._waking, self._woken = socket.socketpair()
        for each in (self._waking, self._woken):
            each.setblocking(False)  # noqa: FBT003
        # Python calls a signal's handler once the main thread executes Python: this ends its wait.
        signal.set_wakeup_fd(self._waking.fileno(), warn_on_full_buffer=False)
        self._dead = DeadWorkers(self.workers)
        self._accepting = [SharedFlag() for _ in range(self.workers)]
        self._stop_at = math.inf
        hangup = signal.getsignal(signal.SIGHUP)
        with signals_blocked():
            super().startup(spawn_target, target_loader)  # type: ignore[no-untyped-call]
        if hangup is signal.SIG_IGN:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # After the workers have been forked: forking a process with threads is unsafe.
        threading.Thread(target=self._announce, name="announcer", daemon=True).start()

    def signal_handler_interrupt(self, number: int, *_: object) -> None:
        """Drain after a first SIGTERM, unless nothing is served yet; stop after any other signal.

        No lock is taken: the signal may have interrupted code that holds it.
        """
        serves = any(each.is_set() for each in self._accepting)
        drains = number == signal.SIGTERM and serves and not self.draining.is_set()
        self.draining.set()
        # A second signal may have interrupted this very function.
        self._stop_at = min(self._stop_at, time.monotonic() + (self.drain_period if drains else 0))

    signal_handler_reload = signal_handler_interrupt

    def _init_shared_socket(self) -> None:
        self._ssp: None = None
        self._shd: Any = None
        self._sso: Any = None

    def _drop_shared_socket(self) -> None:
        if self.bind_uds is not None:
            self.bind_uds.unlink(missing_ok=True)

    def _spawn_workers(self, spawn_target: Any, target_loader: Any) -> None:
        for index in range(self.workers):
            self.wrks.append(self._start_worker(index, spawn_target, target_loader))

    def _start_worker(self, index: int, spawn_target: Any, target_loader: Any) -> WorkerProcess:
        self._accepting[index].clear()
        # Closed here when the worker has it: it is to end with the worker.
        with self.open_socket() as self._sso, signals_blocked():
            is_unix = self._sso.family is socket.AF_UNIX
            self._shd = socket_holder(self._sso.fileno(), is_unix, self.backlog)
            load = partial(target_loader, index, self._accepting[index].set)
            worker = self._spawn_worker(index, spawn_target, load)
            # Not `WorkerProcess.start`, which starts a thread that waits for its end.
            worker.inner.start()
        return worker

    def _serve_loop(self, spawn_target: Any, target_loader: Any) -> None:
        while not self.draining.is_set():
            self._watch_workers(spawn_target, target_loader)
        if period := max(0.0, self._stop_at - time.monotonic()):
            log.info("draining", seconds=round(period))
        self.on_stopping(period)
        while not self._is_over():
            self._watch_workers(spawn_target, target_loader)

    def _is_over(self) -> bool:
        return time.monotonic() >= self._stop_at

    def _watch_workers(self, spawn_target: Any, target_loader: Any) -> None:
        """Wait until a worker died, one is to be replaced, a signal arrived or all is over."""
        running = [w.inner.sentinel for w in self.wrks if w.idx not in self._dead]
        wait([self._woken, *running], timeout=self._time_to_wait())
        with suppress(BlockingIOError):
            self._woken.recv(64)
        if self._is_over():
            return
        self._dead.find(self.wrks)
        for index in self._dead.take_due():
            self.wrks[index] = self._start_worker(index, spawn_target, target_loader)

    def _time_to_wait(self) -> float | None:
        until = min(self._dead.next_due() or math.inf, self._stop_at)
        return None if until == math.inf else max(0.0, until - time.monotonic())

    def _announce(self) -> None:
        while not self.draining.is_set():
            if all(each.is_set() for each in self._accepting):
                self.on_listening()
                return
            time.sleep(ANNOUNCE_INTERVAL)
