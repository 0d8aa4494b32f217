"""Processes: one that watches, and workers that answer requests."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable
from functools import partial

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.log import LogLevels
from litestar import Litestar

from service.app import create_app
from service.auth.passwords import common_passwords
from service.logs import set_up_logs
from service.settings import Settings

# How long a worker may take to finish its requests when it is told to stop, in seconds.
GRACE = 10


class AddressInUse(Exception):  # noqa: N818
    """Something else listens where the service was to listen, or we may not."""


def serve(settings: Settings, database_url: str, on_listening: Callable[[], None]) -> None:
    """Answer requests until SIGINT or SIGTERM. Raises `AddressInUse`."""
    _require_free_address(settings.host, settings.port)
    # What all workers read and none changes is read before they are forked, to be shared.
    common_passwords()
    server = Granian(
        "ostiary",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=settings.workers,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=GRACE,
        log_level=LogLevels.warning,
        log_dictconfig=THROUGH_OUR_LOGS,
    )
    server.on_startup(on_listening)
    server.serve(target_loader=partial(_worker_app, settings, database_url), wrap_loader=False)


# Granian's own handlers go; what it has to say reaches those of `service.logs`.
THROUGH_OUR_LOGS = {
    "loggers": {
        "_granian": {"handlers": [], "propagate": True},
        "granian.access": {"handlers": [], "propagate": True},
    }
}


def _worker_app(settings: Settings, database_url: str) -> Litestar:
    set_up_logs(settings)
    _stop_with_parent()
    return create_app(settings, database_url)


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
