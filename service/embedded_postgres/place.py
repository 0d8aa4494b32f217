"""The directories of the embedded server: whether they may be used, and how they are made.

What belongs to others is never changed, neither its owner nor its mode.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.embedded_postgres.account import VERSION, is_root, name_of, user_ids
from service.embedded_postgres.errors import EmbeddedPostgresFailed

# The path of a Unix socket has at most 108 bytes on Linux, "/.s.PGSQL.5432" included.
MAX_SOCKET_DIRECTORY_LENGTH = 90

# One of these is in every directory that has been used.
OURS = {
    *("start.lock", "users.lock", "postgresql", "postgresql.unfinished", ".s.PGSQL.5432"),
    # Of the service, which may have used another PostgreSQL until now.
    *("secret_keys", "mail"),
}


def socket_directory(directory: Path) -> Path:
    """Return where the socket is: in the directory, unless its path is too long for one."""
    beside_the_data = directory / "socket"
    if len(os.fsencode(beside_the_data)) <= MAX_SOCKET_DIRECTORY_LENGTH:
        return beside_the_data
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"ostiary-{digest}"


@contextmanager
def reporting_os_errors(directory: Path) -> Iterator[None]:
    """Turn `OSError` into an error of one line."""
    try:
        yield
    except OSError as error:
        raise EmbeddedPostgresFailed(
            f"{error.filename or directory} cannot be used: {error.strerror}. Set OSTIARY_DATA_DIR "
            "to a directory that can be written to, or DATABASE_URL."
        ) from error


def require_usable(directory: Path) -> None:
    """Check the data directory, or the place for it, before anything is changed.

    Raises `EmbeddedPostgresFailed`.
    """
    nearest = next(path for path in (directory, *directory.parents) if path.exists())
    if not nearest.is_dir():
        raise EmbeddedPostgresFailed(f"{nearest} is not a directory: set OSTIARY_DATA_DIR.")
    owner = nearest.stat().st_uid
    if nearest == directory:
        _require_own(directory, owner)
        data = directory / "postgresql"
        if data.exists():
            _require_version(data)
            _require_own(data, data.stat().st_uid)
    elif is_root() and owner not in user_ids():
        raise EmbeddedPostgresFailed(
            f"{nearest} belongs to {name_of(owner)}, who could not use what root makes in it.\n"
            f"Run this as {name_of(owner)}, without sudo; or set OSTIARY_DATA_DIR to a directory "
            "of root's, or DATABASE_URL."
        )


def make_private(path: Path, account: pwd.struct_passwd | None) -> None:
    """Make a directory that only its owner, the server's account, can enter.

    One that exists must be the account's, for everybody can make one in the temporary directory.
    Raises `EmbeddedPostgresFailed`, `OSError`.
    """
    _make_parents(path.parent)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        """It must be ours then."""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise EmbeddedPostgresFailed(f"{path} is not a directory; remove it.")
    _require_own(path, found.st_uid)
    if found.st_mode & stat.S_IWOTH:
        raise EmbeddedPostgresFailed(f"All users can write to {path}: remove it, or chmod o-w it.")
    if account is not None and found.st_uid != account.pw_uid:
        _require_not_used_otherwise(path)
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def _make_parents(path: Path) -> None:
    """Make directories that all users can search, for PostgreSQL's account is not root."""
    if not path.exists():
        _make_parents(path.parent)
        path.mkdir(exist_ok=True)
        if is_root():
            path.chmod(0o711)


def _require_not_used_otherwise(path: Path) -> None:
    """Check that a directory of root's, which the account gets, holds nothing but the server's."""
    names = {each.name for each in path.iterdir()}
    if names and not names & OURS:
        raise EmbeddedPostgresFailed(
            f"{path} holds other files of root's: set OSTIARY_DATA_DIR to a directory of its own."
        )


def _require_own(path: Path, owner: int) -> None:
    if owner in user_ids():
        return
    mine = name_of(os.geteuid())
    raise EmbeddedPostgresFailed(
        f"{path} belongs to {name_of(owner)}, not to {mine}.\n"
        f"Run this as {name_of(owner)}; or give it to {mine} (sudo chown -R {mine} '{path}'); or "
        "set OSTIARY_DATA_DIR to another directory."
    )


def _require_version(data: Path) -> None:
    try:
        version = (data / "PG_VERSION").read_text().strip()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise EmbeddedPostgresFailed(
            f"{data} exists and is no data directory of PostgreSQL: set OSTIARY_DATA_DIR."
        ) from error
    if version != str(VERSION):
        raise EmbeddedPostgresFailed(
            f"{data} was made by PostgreSQL {version}, and this is {VERSION}. Copy its data with "
            f"pg_dump of a PostgreSQL {version}, or set OSTIARY_DATA_DIR to another directory."
        )
