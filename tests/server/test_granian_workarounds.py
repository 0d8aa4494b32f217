"""Granian and uvloop, with our workarounds and without.

A test named ``still`` fails when a workaround can go, and says which.
"""

from __future__ import annotations

import asyncio
import dataclasses
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import pytest
import uvloop
from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server.mp import MPServer, WorkerProcess

from service.server.granian_workarounds import (
    EventLoop,
    block_signals,
    fork_workers,
    new_event_loop,
    signals_blocked,
    stop_with_supervisor,
    unblock_signals,
)
from tests.services import PATIENCE, reserved_port

fork = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """Restore the handlers of the signals that loops and supervisors handle."""
    signals = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    handlers = {each: signal.getsignal(each) for each in signals}
    yield
    for each, handler in handlers.items():
        signal.signal(each, handler)
    unblock_signals()


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = EventLoop()
    yield loop
    loop.close()


def run_until_another_signal(loop: EventLoop) -> None:
    """Run until a signal was delivered that arrived after all that were pending."""

    async def wait_for_another() -> None:
        delivered = asyncio.Event()
        uvloop.Loop.add_signal_handler(loop, signal.SIGUSR1, delivered.set)
        await asyncio.sleep(0)
        signal.raise_signal(signal.SIGUSR1)
        await delivered.wait()

    loop.run_until_complete(wait_for_another())


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_first_run_is_delivered_in_it(
    loop: EventLoop, signum: signal.Signals
) -> None:
    delivered: list[str] = []
    loop.add_signal_handler(signum, delivered.append, "stop")
    signal.raise_signal(signum)
    run_until_another_signal(loop)
    assert delivered == ["stop"]


def test_a_signal_between_two_runs_is_delivered_in_the_second(loop: EventLoop) -> None:
    delivered: list[str] = []
    loop.add_signal_handler(signal.SIGTERM, delivered.append, "stop")
    run_until_another_signal(loop)
    signal.raise_signal(signal.SIGTERM)
    assert delivered == []
    run_until_another_signal(loop)
    assert delivered == ["stop"]


def test_only_the_first_of_two_signals_is_delivered(loop: EventLoop) -> None:
    delivered: list[str] = []
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, delivered.append, each.name)
        signal.raise_signal(each)
    run_until_another_signal(loop)
    assert len(delivered) == 1


def test_blocked_signals_are_delivered_afterwards() -> None:
    delivered = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: delivered.set())
    with signals_blocked():
        signal.raise_signal(signal.SIGTERM)
        assert not delivered.is_set()
    assert delivered.is_set()


def delivered_between_two_runs(loop: asyncio.AbstractEventLoop) -> list[str]:
    """Return what is delivered in a second run of a signal that arrived before it."""
    delivered: list[str] = []
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)

        async def poll() -> None:
            for _ in range(3):
                await loop.sock_sendall(near, b".")
                await loop.sock_recv(far, 1)

        loop.add_signal_handler(signal.SIGTERM, delivered.append, "stop")
        loop.run_until_complete(poll())
        signal.raise_signal(signal.SIGTERM)
        loop.run_until_complete(poll())
    loop.close()
    return delivered


def test_uvloop_still_drops_a_signal_between_two_runs() -> None:
    assert delivered_between_two_runs(asyncio.SelectorEventLoop()) == ["stop"]
    dropped = delivered_between_two_runs(uvloop.Loop()) == []
    assert dropped, "EventLoop.run_forever and EventLoop.stop can go"


SET_TWICE = """
import signal, sys
from granian._granian import WorkerSignal
stop = WorkerSignal()
signal.setitimer(signal.ITIMER_REAL, 0.5)
for _ in range(int(sys.argv[1])):
    stop.set()
signal.setitimer(signal.ITIMER_REAL, 0)
"""


def test_granian_still_hangs_after_a_second_signal() -> None:
    """The alarm ends a process that hangs; one that does not hang is not measured."""
    once, twice = (
        subprocess.run([sys.executable, "-c", SET_TWICE, times], check=False).returncode
        for times in ("1", "2")
    )
    assert once == 0
    assert twice == -signal.SIGALRM, "EventLoop.add_signal_handler can go"


RESOLVE = """
import os
from service.server.granian_workarounds import new_event_loop
loop = new_event_loop()
loop.run_until_complete(loop.getaddrinfo("localhost", 80))
print(len(os.listdir("/proc/self/task")))
"""


def test_names_that_are_not_resolved_do_not_keep_others_from_it() -> None:
    """Each takes a thread until its name server has answered, and half of the threads resolve."""
    resolved = subprocess.run(
        [sys.executable, "-c", RESOLVE], capture_output=True, text=True, check=True
    )
    assert int(resolved.stdout) > 30


S = TypeVar("S", bound=MPServer)


def supervisor_of(kind: type[S]) -> S:
    """Return a supervisor that is not started."""
    with reserved_port() as port:
        return kind("application", port=port, interface=Interfaces.ASGI, log_enabled=False)


def start_worker(load: Callable[[], Any]) -> None:
    """Start Granian's supervisor and one worker, and kill the supervisor: this process."""
    server = supervisor_of(MPServer)
    server.startup(server._spawn_asgi_lifespan_worker, load)  # type: ignore[no-untyped-call]
    os.kill(os.getpid(), signal.SIGKILL)


def written_by_worker(load: Callable[[int], Any]) -> bytes:
    """Return what a worker writes to a pipe when it loads its application, until it ends."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader:
        supervisor = fork.Process(target=start_worker, args=(partial(load, writing),))
        supervisor.start()
        os.close(writing)
        supervisor.join()
        return reader.read()


def get_a_signal(writing: int) -> None:
    signal.raise_signal(signal.SIGTERM)
    os.write(writing, b"goes on")
    os._exit(0)


def test_granian_still_loses_a_signal_while_a_worker_starts() -> None:
    lost = written_by_worker(get_a_signal) == b"goes on"
    assert lost, "Supervisor need not block signals"


def outlive_supervisor(writing: int) -> None:
    supervisor = multiprocessing.parent_process()
    assert supervisor is not None
    supervisor.join()
    while os.getppid() == supervisor.pid:
        """Its end is not complete: a signal of it would come now."""
    os.write(writing, b"goes on")
    os._exit(0)


def test_granian_still_lets_a_worker_go_on_without_its_supervisor() -> None:
    assert written_by_worker(outlive_supervisor) == b"goes on", "stop_with_supervisor can go"


def wait_for_sigterm(writing: int) -> None:
    block_signals()
    stop_with_supervisor(PATIENCE)
    received = signal.sigtimedwait([signal.SIGTERM], PATIENCE)
    os.write(writing, b"nothing" if received is None else b"SIGTERM")
    os._exit(0)


def test_a_worker_gets_sigterm_when_its_supervisor_is_killed() -> None:
    assert written_by_worker(wait_for_sigterm) == b"SIGTERM"


def ignore_sigterm(writing: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stop_with_supervisor(0)
    signal.pause()


def test_a_worker_that_does_not_stop_is_killed_after_its_supervisor() -> None:
    assert written_by_worker(ignore_sigterm) == b""


def test_a_worker_ignores_the_signals_that_a_terminal_sends_to_all_processes() -> None:
    loop = new_event_loop()
    delivered: list[str] = []
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, delivered.append, each.name)
    for each in (signal.SIGHUP, signal.SIGINT):
        signal.raise_signal(each)
    run_until_another_signal(loop)
    assert delivered == []
    signal.raise_signal(signal.SIGTERM)
    run_until_another_signal(loop)
    loop.close()
    assert delivered == ["SIGTERM"]


def send_start_method(writing: int) -> None:
    multiprocessing.set_start_method("forkserver", force=True)
    make: Callable[..., Any] = WorkerProcess
    kinds = [make(None, 0, print, ())._spawn_method]
    fork_workers()
    kinds.append(make(None, 0, print, ())._spawn_method)
    os.write(writing, " ".join(kinds).encode())
    os._exit(0)


def test_granian_still_spawns_workers_where_python_would_not_fork() -> None:
    """As from Python 3.14 on."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader:
        process = fork.Process(target=send_start_method, args=(writing,))
        process.start()
        os.close(writing)
        process.join()
        assert reader.read() == b"spawn fork"


class RecordingServer(MPServer):
    """A supervisor that starts no workers."""

    events: list[str]

    def _spawn_workers(self, *_: object) -> None:
        self.events.append("workers")


def test_granian_still_announces_that_it_listens_before_its_workers_do() -> None:
    server = supervisor_of(RecordingServer)
    server.events = []
    server.on_startup(lambda: server.events.append("hook"))
    server.startup(None, None)  # type: ignore[no-untyped-call]
    server.shutdown()  # type: ignore[no-untyped-call]
    assert server.events == ["hook", "workers"], "Supervisor.on_listening can go"
    hooks = {name for name in vars(server) if name.startswith("hooks_")}
    assert hooks == {"hooks_startup", "hooks_reload", "hooks_shutdown"}, "is there a hook for it?"


def test_granian_still_has_no_time_limit_for_bodies() -> None:
    limits = {field.name for field in dataclasses.fields(HTTP1Settings) if "timeout" in field.name}
    assert limits == {"header_read_timeout"}, "require_json_body need not limit the time"
