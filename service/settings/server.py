"""The server's processes and connections."""

from __future__ import annotations

import os
from ipaddress import ip_address
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from service.settings.values import Delay, Duration

# More workers need more connections to PostgreSQL than it accepts by default.
MAX_DEFAULT_WORKERS = 8


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ServerSettings(Struct, frozen=True, kw_only=True):
    """Where the service listens, and how many processes serve requests."""

    prefix: ClassVar[str] = ""

    host: Annotated[str, Meta(description="Address or name to listen on, or `unix:/path`.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Meta(description="Port to listen on.", ge=1, le=65535)] = 8000
    head_timeout: Annotated[
        Duration,
        Meta(
            description="Maximum time for a client to send the head of a request, from the opening "
            "of the connection or the previous response on: also the time after which a silent or "
            "idle connection is closed."
        ),
    ] = Duration.parse("5s")
    client_timeout: Annotated[
        Duration,
        Meta(
            description="Maximum time for a client to send the body of a request; also the time "
            "after which a connection is closed whose client does not read the response."
        ),
    ] = Duration.parse("30s")
    max_connections: Annotated[
        Annotated[int, Meta(ge=16, le=1_000_000)] | None,
        Meta(
            description="Maximum number of open connections of each worker; others wait in the "
            "backlog. Default: what the limit of open files allows, at most 16384."
        ),
    ] = None
    backlog: Annotated[
        int,
        Meta(
            description="Connections that may wait until a worker accepts them, for each worker; "
            "the kernel limits it (`net.core.somaxconn`).",
            ge=128,
            le=65535,
        ),
    ] = 4096
    request_timeout: Annotated[
        Duration,
        Meta(
            description="Maximum time of a request from its arrival to the answer, but for the "
            "time the client takes to send the body: waiting for PostgreSQL, for connections to it "
            "and for hash processes included; then 503. All other time limits end with it."
        ),
    ] = Duration.parse("5s")
    drain_period: Annotated[
        Delay,
        Meta(
            description="How long the service goes on after SIGTERM, while `GET /readyz` is 503, "
            "so that load balancers leave before it stops: longer than they take to notice, and "
            "than `OSTIARY_HEAD_TIMEOUT`; at most `1h`."
        ),
    ] = Delay()
    workers: Annotated[
        Annotated[int, Meta(ge=1, le=64)] | None,
        Meta(description="Processes that serve requests. Default: the number of cores, at most 8."),
    ] = None

    @property
    def url(self) -> str:
        """The address of the service, for a browser on this machine.

        A loopback address has the name `localhost`, as pages in development have it: for a browser,
        `localhost` and `127.0.0.1` are different sites, which do not share cookies.
        """
        if self.host.startswith("unix:"):
            return self.host
        host = self.host.strip("[]")
        if _is_local(host):
            return f"http://localhost:{self.port}"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def effective_workers(self) -> int:
        """The number of workers, with the default filled in."""
        return self.workers or min(cores(), MAX_DEFAULT_WORKERS)


def _is_local(host: str) -> bool:
    """Return whether `localhost` leads to a host: a loopback address, or all addresses."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_unspecified or host in {"127.0.0.1", "::1"}
