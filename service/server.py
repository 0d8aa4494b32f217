"""Processes: one that watches, and workers that answer requests."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from granian import loops
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer
from litestar import Litestar

from service.app import create_app
from service.auth.passwords import common_passwords
from service.event_loop import new_event_loop, signals_held
from service.logs import set_up_logs
from service.settings import Settings

# How long a worker may take to finish its requests when it is told to stop, in seconds.
GRACE = 10

# The most bytes of a request's first line and headers.
LARGEST_HEAD = 32 * 1024


class AddressInUse(Exception):
    """Something else listens where the service was to listen, or we may not."""


def serve(settings: Settings, database_url: str, on_listening: Callable[[], None]) -> None:
    """Answer requests until SIGINT or SIGTERM. Raises `AddressInUse`."""
    _require_free_address(settings.host, settings.port)
    # What all workers read and none changes is read before they are forked, to be shared.
    common_passwords()
    loops.register(Loops.auto)(new_event_loop)
    server = AnnouncingServer(
        "ostiary",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=settings.workers_in_use,
        loop=Loops.auto,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=int(settings.client_timeout * 1000),
            max_buffer_size=LARGEST_HEAD,
        ),
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=GRACE,
        log_level=LogLevels.warning,
        log_dictconfig=THROUGH_OUR_LOGS,
    )
    server.on_listening = on_listening
    server.serve(target_loader=partial(_worker_app, settings, database_url), wrap_loader=False)


# Granian's own handlers go; what it has to say reaches those of `service.logs`.
THROUGH_OUR_LOGS = {
    "loggers": {
        "_granian": {"handlers": [], "propagate": True},
        "granian.access": {"handlers": [], "propagate": True},
    }
}


class AnnouncingServer(MPServer):
    """Granian, which says that it listens when it does, not when it is about to."""

    on_listening: Callable[[], None]

    def startup(self, spawn_target: Any, target_loader: Any) -> None:
        # Workers hear of signals when their loops run, and not as long as our handlers are theirs.
        with signals_held():
            super().startup(spawn_target, target_loader)  # type: ignore[no-untyped-call]
        # Not before the workers are there: a process with threads is better not forked.
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


def _worker_app(settings: Settings, database_url: str) -> Litestar:
    set_up_logs(settings)
    _stop_with_parent()
    app = create_app(settings, database_url)
    # What is here now stays: the collector need not walk over it again and again. And requests
    # leave no cycles behind that would have to be looked for every 700 objects.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    return app


def _stop_with_parent() -> None:
    """A worker whose parent was killed would hold the port, and answer beside the next one."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait_for_its_end() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait_for_its_end, name="parent-watch", daemon=True).start()


def _require_free_address(host: str, port: int) -> None:
    """Granian shares its port with whoever asks for it (SO_REUSEPORT): two services would mix."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise AddressInUse(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
