"""A Unix socket to listen on, ``OSTIARY_HOST=unix:/path``: for a proxy on the same machine."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

PREFIX = "unix:"

# The proxy connects as a member of the socket's group.
MODE = 0o660


def unix_path(host: str) -> Path | None:
    """Return the path of a Unix socket; ``None`` for any other host."""
    return Path(host.removeprefix(PREFIX)) if host.startswith(PREFIX) else None


def require_free_path(path: Path) -> None:
    """Check that a socket can be made at a path, and nothing listens there. Raises `OSError`.

    A socket that another service left behind when it was killed is removed.
    """
    if path.exists():
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise OSError(errno.EEXIST, "File exists, and is no socket")
        if _is_listening(path):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        path.unlink()
    with _bound(path):
        path.unlink()


def shared_unix_socket(path: Path) -> Callable[[], socket.socket]:
    """Bind a socket, and return a function that returns another handle of it.

    A path has one socket, which all workers accept connections from.
    """
    bound = _bound(path)
    path.chmod(MODE)
    return bound.dup


def connect(path: Path, timeout: float) -> socket.socket:
    """Connect to a socket. Raises `OSError`."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(timeout)
    try:
        made.connect(str(path))
    except OSError:
        made.close()
        raise
    return made


def _is_listening(path: Path) -> bool:
    try:
        connect(path, timeout=1).close()
    except TimeoutError:
        return True
    except OSError:
        return False
    return True


def _bound(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(str(path))
    except OSError as error:
        made.close()
        # A path that is too long has no number.
        raise OSError(error.errno or errno.ENAMETOOLONG, error.strerror or str(error)) from error
    return made
