"""The server's processes and connections."""

from __future__ import annotations

import os
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from service.settings.values import Duration

# More workers need more connections to PostgreSQL than it accepts by default.
MAX_DEFAULT_WORKERS = 8


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ServerSettings(Struct, frozen=True, kw_only=True):
    """Where the service listens, and how many processes serve requests."""

    prefix: ClassVar[str] = ""

    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(description="Port to listen on.", ge=1, le=65535)] = 8000
    client_timeout: Annotated[
        Duration,
        Meta(
            description="Maximum time for a client to send the head of a request, and again for "
            "its body; also the time after which an idle connection is closed."
        ),
    ] = Duration.parse("30s")
    request_timeout: Annotated[
        Duration,
        Meta(
            description="Maximum time of a request from its arrival to the answer, but for the "
            "time the client takes to send the body: waiting for PostgreSQL, for connections to it "
            "and for hash processes included; then 503. All other time limits end with it."
        ),
    ] = Duration.parse("5s")
    workers: Annotated[
        Annotated[int, Meta(ge=1, le=64)] | None,
        Meta(description="Processes that serve requests. Default: the number of cores, at most 8."),
    ] = None

    @property
    def url(self) -> str:
        """The address of the service, for a browser."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def effective_workers(self) -> int:
        """The number of workers, with the default filled in."""
        return self.workers or min(cores(), MAX_DEFAULT_WORKERS)
