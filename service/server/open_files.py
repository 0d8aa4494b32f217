"""The limit of open files, which the connections of a worker share with everything else."""

from __future__ import annotations

import resource

from service.settings import Settings

# Standard streams, event loops, pipes to the supervisor, the log, modules being imported, …: about
# forty, measured.
WORKER_FILES = 64

# Two pipes and a descriptor of the process.
FILES_OF_HASH_PROCESS = 8

# Session look-ups, readiness, and those that are replaced while new ones are opened.
CONNECTIONS_BESIDE_POOL = 8

# Without a setting, a worker has as many connections as the limit allows, within these bounds.
MIN_CONNECTIONS = 256
MAX_DEFAULT_CONNECTIONS = 16_384

# Taken for "unlimited".
LARGE = 1 << 20


class TooFewOpenFiles(Exception):
    """The limit of open files is too low for the settings."""


def raise_limit() -> int:
    """Raise the limit of this process as far as it may be raised; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = LARGE if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # macOS allows less than it says.
            return soft
    return wanted


def max_connections(settings: Settings, limit: int) -> int:
    """Return the number of connections of each worker. Raises `TooFewOpenFiles`."""
    chosen = settings.server.max_connections
    needed = files_beside_connections(settings)
    available = limit - needed
    if available < (chosen or MIN_CONNECTIONS):
        raise TooFewOpenFiles(
            f"The limit of open files is {limit:,}, but a worker needs "
            f"{needed + (chosen or MIN_CONNECTIONS):,}: {needed:,} for the pool of connections to "
            f"PostgreSQL, hash processes and itself, and {chosen or MIN_CONNECTIONS:,} for "
            "connections of clients. Raise the limit (`ulimit -n`, systemd's `LimitNOFILE=`, "
            "compose's `ulimits`), or lower OSTIARY_MAX_CONNECTIONS or "
            "OSTIARY_DATABASE_POOL_SIZE."
        )
    return chosen or min(available, MAX_DEFAULT_CONNECTIONS)


def files_beside_connections(settings: Settings) -> int:
    """Return how many files a worker opens at most, beside the connections of clients."""
    return (
        WORKER_FILES
        + settings.database.pool_size
        + CONNECTIONS_BESIDE_POOL
        + settings.hash_processes * FILES_OF_HASH_PROCESS
    )
