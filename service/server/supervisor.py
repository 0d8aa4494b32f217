"""The supervisor: a process that starts, watches and stops the workers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from granian import loops
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels

from service.auth.passwords import common_passwords
from service.server.granian_workarounds import (
    AnnouncingServer,
    new_event_loop,
    require_free_address,
)
from service.server.worker import create_worker_app
from service.settings import Settings

# Maximum time of a worker to finish its requests when it is stopped, in seconds.
SHUTDOWN_TIMEOUT = 10

# Maximum size of a request's first line and headers, in bytes.
MAX_HEAD_SIZE = 32 * 1024

# Granian's handlers are removed; its messages reach those of `service.logging`.
LOGGING_CONFIG = {
    "loggers": {
        "_granian": {"handlers": [], "propagate": True},
        "granian.access": {"handlers": [], "propagate": True},
    }
}


class AddressInUse(Exception):
    """The service cannot listen on its address."""


def serve(settings: Settings, database_url: str, on_listening: Callable[[], None]) -> None:
    """Serve requests until SIGINT or SIGTERM. Raises `AddressInUse`."""
    host, port = settings.server.host, settings.server.port
    try:
        require_free_address(host, port)
    except OSError as error:
        raise AddressInUse(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
    # Loaded before the workers are forked, which share its memory.
    common_passwords()
    loops.register(Loops.auto)(new_event_loop)
    server = AnnouncingServer(
        "ostiary",
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        workers=settings.server.effective_workers,
        loop=Loops.auto,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=int(settings.server.client_timeout * 1000),
            max_buffer_size=MAX_HEAD_SIZE,
        ),
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=SHUTDOWN_TIMEOUT,
        log_level=LogLevels.warning,
        log_dictconfig=LOGGING_CONFIG,
    )
    server.on_listening = on_listening
    server.serve(
        target_loader=partial(create_worker_app, settings, database_url), wrap_loader=False
    )
