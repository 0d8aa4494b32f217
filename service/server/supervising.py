"""Granian's supervisor, with its own way to watch, replace and stop the workers."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any

import structlog
from granian._granian import SocketHolder
from granian.server.mp import MPServer, WorkerProcess

from service.backoff import Backoff
from service.server.granian_workarounds import signals_blocked
from service.server.metrics_server import forget_gauges
from service.server.unix_sockets import connect

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Granian's declaration lacks the arguments.
socket_holder: Callable[[int, bool, int], Any] = SocketHolder  # type: ignore[assignment]

# How often it is tried whether a worker accepts connections, in seconds.
ANNOUNCE_INTERVAL = 0.02


class Supervisor(MPServer):
    """Starts workers, replaces those that die, and stops all of them after a signal.

    What it does in other ways than Granian 2.8.7, of which no upstream issues are known but those
    that are named:

    - `on_listening` is called once connections are accepted. Granian announces that it listens, and
      calls its start hook, before it starts the workers (emmett-framework/granian#381).
    - A worker is started with signals blocked, until its loop runs. A signal before that would be
      handled as by the supervisor, which stops nothing.
    - A worker that died is replaced however often it dies, later each time. Granian ends after two
      deaths within 5.5 s, and forgets a death during its bookkeeping of another one.
    - The workers are waited for in one thread. Granian has two that wait for the same process: one
      of them can take it for alive, and kills it.
    - SIGHUP stops the service, as a terminal that is closed means it; Granian would restart the
      workers. Where it is ignored (``nohup``), it remains so.
    - Each worker has a socket from `open_socket`, with options that Granian does not set.
    """

    on_listening: Callable[[], None]
    open_socket: Callable[[], socket.socket]

    def startup(self, spawn_target: Any, target_loader: Any) -> None:
        """Start the workers."""
        self._waking, self._woken = socket.socketpair()
        for each in (self._waking, self._woken):
            each.setblocking(False)  # noqa: FBT003
        self._backoffs = [Backoff() for _ in range(self.workers)]
        # When workers that died are started again, by their index.
        self._due: dict[int, float] = {}
        hangup = signal.getsignal(signal.SIGHUP)
        with signals_blocked():
            super().startup(spawn_target, target_loader)  # type: ignore[no-untyped-call]
        if hangup is signal.SIG_IGN:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # After the workers have been forked: forking a process with threads is unsafe.
        threading.Thread(target=self._announce, name="announcer", daemon=True).start()

    def signal_handler_interrupt(self, *_: object, **__: object) -> None:
        """Stop. No lock is taken: the signal may have interrupted code that holds it."""
        self.interrupt_signal = True
        with suppress(BlockingIOError):
            self._waking.send(b".")

    signal_handler_reload = signal_handler_interrupt

    def _init_shared_socket(self) -> None:
        self._ssp: None = None
        self._shd: Any = None
        self._sso: Any = None

    def _spawn_workers(self, spawn_target: Any, target_loader: Any) -> None:
        for index in range(self.workers):
            self.wrks.append(self._start_worker(index, spawn_target, target_loader))

    def _start_worker(self, index: int, spawn_target: Any, target_loader: Any) -> WorkerProcess:
        # Closed here when the worker has it: it is to end with the worker.
        with self.open_socket() as self._sso, signals_blocked():
            is_unix = self._sso.family is socket.AF_UNIX
            self._shd = socket_holder(self._sso.fileno(), is_unix, self.backlog)
            worker = self._spawn_worker(index, spawn_target, target_loader)
            # Not `WorkerProcess.start`, which starts a thread that waits for its end.
            worker.inner.start()
        return worker

    def _serve_loop(self, spawn_target: Any, target_loader: Any) -> None:
        while not self.interrupt_signal:
            running = [w.inner.sentinel for w in self.wrks if w.idx not in self._due]
            wait([self._woken, *running], timeout=self._time_until_due())
            with suppress(BlockingIOError):
                self._woken.recv(1)
            self._find_dead_workers()
            self._replace_dead_workers(spawn_target, target_loader)

    def _time_until_due(self) -> float | None:
        return max(0.0, min(self._due.values()) - time.monotonic()) if self._due else None

    def _find_dead_workers(self) -> None:
        if self.interrupt_signal:
            return
        now = time.monotonic()
        for worker in self.wrks:
            if worker.idx not in self._due and not worker.inner.is_alive():
                delay = self._backoffs[worker.idx].delay_after(now - worker.birth)
                self._due[worker.idx] = now + delay
                forget_gauges(worker.inner.pid)
                log.error(
                    "worker_died",
                    pid=worker.inner.pid,
                    reason=_reason(worker.inner.exitcode),
                    restarted_in=delay,
                )

    def _replace_dead_workers(self, spawn_target: Any, target_loader: Any) -> None:
        for index in [each for each, due in self._due.items() if due <= time.monotonic()]:
            if self.interrupt_signal:
                return
            del self._due[index]
            self.wrks[index] = self._start_worker(index, spawn_target, target_loader)

    def _connect(self) -> socket.socket:
        if self.bind_uds is not None:
            return connect(self.bind_uds, timeout=1)
        return socket.create_connection((self.bind_addr, self.bind_port), timeout=1)

    def _announce(self) -> None:
        while not self.interrupt_signal:
            try:
                self._connect().close()
            except OSError:
                time.sleep(ANNOUNCE_INTERVAL)
            else:
                self.on_listening()
                return


def _reason(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return f"signal {-exit_code}"
