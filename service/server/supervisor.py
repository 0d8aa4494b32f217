"""Serving: a supervisor, with the settings of the service."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import gettempdir

import structlog
from granian import loops
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels

from service.auth.passwords import common_passwords
from service.server.granian_workarounds import fork_workers, new_event_loop
from service.server.metrics_files import MetricsPlace, make_directory
from service.server.open_files import (
    MAX_DEFAULT_CONNECTIONS,
    TooFewOpenFiles,
    max_connections,
    raise_limit,
)
from service.server.shared_flag import SharedFlag
from service.server.sockets import SocketAddress, require_free, resolve, shared_socket
from service.server.supervising import Supervisor
from service.server.unix_sockets import require_free_path, shared_unix_socket, unix_path
from service.server.worker import SHUTDOWN_TIMEOUT, create_worker_app
from service.settings import Settings

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Maximum size of a request's first line and headers, in bytes.
MAX_HEAD_SIZE = 32 * 1024

# Granian's handlers are removed; its messages reach those of `service.logging`.
LOGGING_CONFIG = {
    "loggers": {
        "_granian": {"handlers": [], "propagate": True},
        "granian.access": {"handlers": [], "propagate": True},
    }
}


class CannotServe(Exception):
    """The service cannot listen on its address, or has too few open files."""


def require_resources(settings: Settings) -> tuple[SocketAddress | Path, int]:
    """Check what serving needs, and raise the limit of open files. Raises `CannotServe`.

    Return the address to listen on, and the number of connections of each worker.
    """
    address = _require_free(settings.server.host, settings.server.port)
    if settings.metrics.port is not None:
        _require_free(settings.metrics.host, settings.metrics.port)
    try:
        return address, max_connections(settings, raise_limit())
    except TooFewOpenFiles as error:
        raise CannotServe(str(error)) from error


def _require_free(host: str, port: int) -> SocketAddress | Path:
    """Return the address of a host and port on which nothing listens. Raises `CannotServe`."""
    path = unix_path(host)
    try:
        if path:
            require_free_path(path)
            return path
        address = resolve(host, port)
        require_free(address)
    except OSError as error:
        place = host if path else f"{host}:{port}"
        raise CannotServe(f"Cannot listen on {place}: {error.strerror}.") from error
    except UnicodeError as error:
        raise CannotServe(f"Cannot listen on {host}:{port}: not a host name.") from error
    return address


def serve(
    settings: Settings,
    database_url: str,
    on_listening: Callable[[], None],
    on_stopping: Callable[[float], None],
) -> None:
    """Serve requests until SIGINT or SIGHUP, or for the drain period after SIGTERM.

    ``on_listening`` is called once all workers accept connections, and ``on_stopping`` when one of
    these signals has arrived, with the seconds until the workers stop. Raises `CannotServe`.
    """
    address, connections = require_resources(settings)
    if settings.server.max_connections is None and connections < MAX_DEFAULT_CONNECTIONS:
        log.warning("open_files_limit_connections", connections_of_a_worker=connections)
    # Loaded before the workers are forked, which share its memory: also once they collect garbage,
    # which writes to each object that is not frozen.
    common_passwords()
    gc.freeze()
    fork_workers()
    loops.register(Loops.auto)(new_event_loop)
    server = Supervisor(
        "ostiary",
        address="" if isinstance(address, Path) else address[1][0],
        port=settings.server.port,
        uds=address if isinstance(address, Path) else None,
        interface=Interfaces.ASGI,
        workers=settings.server.effective_workers,
        loop=Loops.auto,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=int(settings.server.head_timeout * 1000),
            max_buffer_size=MAX_HEAD_SIZE,
        ),
        websockets=False,
        backlog=settings.server.backlog,
        backpressure=connections,
        workers_kill_timeout=SHUTDOWN_TIMEOUT,
        log_level=LogLevels.warning,
        log_dictconfig=LOGGING_CONFIG,
    )
    server.on_listening = on_listening
    server.on_stopping = on_stopping
    server.draining = SharedFlag()
    server.drain_period = settings.server.drain_period
    server.open_socket = (
        shared_unix_socket(address)
        if isinstance(address, Path)
        else partial(shared_socket, address, settings.server.client_timeout)
    )
    with metrics_place(settings) as metrics:
        load = partial(create_worker_app, settings, database_url, server.draining.is_set, metrics)
        server.serve(target_loader=load, wrap_loader=False)


@contextmanager
def metrics_place(settings: Settings) -> Iterator[MetricsPlace | None]:
    """Return where the metrics are collected and served; ``None`` if they are off.

    Raises `CannotServe`.
    """
    metrics = settings.metrics
    if metrics.port is None:
        yield None
        return
    address = resolve(metrics.host, metrics.port)
    try:
        directory = make_directory(settings.server.effective_workers)
    except OSError as error:
        raise CannotServe(f"Cannot keep metrics in {gettempdir()}: {error.strerror}.") from error
    with directory as name:
        yield MetricsPlace(directory=Path(name), address=address)
