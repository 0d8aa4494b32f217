"""A program that stops the embedded server when all its users have ended, killed ones too.

    python guardian.py LOCK USER GROUP COMMAND …

It needs nothing but the standard library, to be small. `LOCK` is the file on which users hold a
shared lock, `COMMAND` stops the server; it is run as the account with the ids `USER` and `GROUP`,
or as this one if they are empty.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys


def main(lock: str, user: str, group: str, *command: str) -> None:
    """Become a process of its own, wait for the last user, and stop the server."""
    file = os.open(lock, os.O_RDONLY)
    if os.fork():
        os._exit(0)
    fcntl.flock(file, fcntl.LOCK_EX)
    subprocess.run(
        command,
        check=False,
        user=int(user) if user else None,
        group=int(group) if group else None,
        extra_groups=[] if user else None,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
