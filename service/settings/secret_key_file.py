"""The secret key of a development machine, which is generated once."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path
from tempfile import NamedTemporaryFile

import structlog

from service.settings.secret_keys import LENGTH, SecretKey, SecretKeys

NAME = "secret_keys"

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def development_secret_keys(directory: Path) -> SecretKeys:
    """Return the keys in the file `NAME` of a data directory; generate one if there is none.

    Processes that do so together all get the same key. Raises `OSError`.
    """
    path = directory / NAME
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        _create(path, SecretKey("development", secrets.token_bytes(LENGTH)).write())
    try:
        return SecretKeys.parse(path.read_text(encoding="utf-8").strip())
    except ValueError as error:
        raise OSError(errno.EINVAL, f"cannot be used: {error}", str(path)) from error


def _create(path: Path, text: str) -> None:
    """Create a file with its text at once, with mode 0600, unless another process has done so."""
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{NAME}-", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
        try:
            # Unlike a renamed file, a link replaces nothing.
            os.link(file.name, path)
        except FileExistsError:
            return
    log.info("secret_key_generated", file=str(path))
