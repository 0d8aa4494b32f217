"""What is told to the service manager that started the process, as sd_notify(3) of systemd does.

The libraries for it on PyPI are not maintained (sdnotify) or need systemd's headers
(systemd-python); the protocol is a datagram, which its manual invites to implement.
"""

from __future__ import annotations

import os
import socket
from typing import Self

import structlog

from service.server.worker import SHUTDOWN_TIMEOUT

VARIABLE = "NOTIFY_SOCKET"

# Maximum time to wait for a service manager that does not read, in seconds.
TIMEOUT = 1.0

# Added to the time that workers have to finish their requests, in seconds.
MARGIN = 5

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class ServiceManager:
    """The service manager; nothing is told where there is none."""

    def __init__(self, address: str | None) -> None:
        """``address``: the path of its socket, or a name in the abstract namespace, ``@…``."""
        self._address = address

    @classmethod
    def of_process(cls) -> Self:
        """Return the manager of this process, and remove NOTIFY_SOCKET from the environment.

        Child processes could notify it otherwise, as a PostgreSQL that is built for systemd does.
        """
        return cls(os.environ.pop(VARIABLE, None))

    def tell_ready(self, url: str) -> None:
        """Tell that all workers accept connections."""
        self._tell(READY="1", STATUS=f"Serving {url}")

    def tell_stopping(self, drain_period: float) -> None:
        """Tell that the service stops, after so many seconds, and how long that may take."""
        seconds = round(drain_period)
        self._tell(
            STOPPING="1",
            STATUS=f"Draining for {seconds} s" if drain_period else "Stopping",
            EXTEND_TIMEOUT_USEC=str((seconds + SHUTDOWN_TIMEOUT + MARGIN) * 1_000_000),
        )

    def _tell(self, **variables: str) -> None:
        if not self._address:
            return
        state = "\n".join(f"{name}={value}" for name, value in variables.items())
        place = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.settimeout(TIMEOUT)
                sending.sendto(state.encode(), place)
        except OSError as error:
            log.warning("service_manager_unreachable", address=self._address, reason=str(error))
