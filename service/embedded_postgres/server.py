"""The server: initialised, started or joined, kept running, left and stopped."""

from __future__ import annotations

import fcntl
import pwd
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

from service.embedded_postgres import guardian
from service.embedded_postgres.account import PROGRAMS, require_reachable, server_account
from service.embedded_postgres.errors import EmbeddedPostgresFailed
from service.embedded_postgres.keeper import Keeper
from service.embedded_postgres.place import (
    make_private,
    reporting_os_errors,
    require_usable,
    socket_directory,
)

SUPERUSER = "postgres"

START_TIMEOUT = 300
READY, STARTING = 0, 1


class EmbeddedPostgres:
    """A PostgreSQL server with its data in ``directory``, which is created if necessary.

    `start` joins a server that is running already, because another process uses it. Until `stop`,
    a server that dies is started again. `stop` stops the server unless another process still uses
    it. When all processes that use it are killed, it stops as well.
    """

    def __init__(self, directory: Path, options: Mapping[str, str] | None = None) -> None:
        self.directory = directory.expanduser().resolve()
        self._data = self.directory / "postgresql"
        self.log = self.directory / "postgresql.log"
        self._options = dict(options or {})
        self._account: pwd.struct_passwd | None = None
        self._sockets = socket_directory(self.directory)
        self._users: IO[str] | None = None
        self._keeper: Keeper | None = None
        self._has_guardian = False

    def url(self, database: str = SUPERUSER) -> str:
        """Return the URL of a database; the server listens on a Unix socket only."""
        return f"postgresql://{SUPERUSER}@/{database}?host={self._sockets}"

    def start(self) -> None:
        """Start the server or join it. Raises `EmbeddedPostgresFailed`."""
        with reporting_os_errors(self.directory):
            require_usable(self.directory)
            self._make_directories()
            with self._start_lock():
                self._users = (self.directory / "users.lock").open("a")
                fcntl.flock(self._users, fcntl.LOCK_SH)
            try:
                self._start_or_join()
            except BaseException:
                self.stop()
                raise
        self._keeper = Keeper(self._is_running, self._start_or_join)

    def stop(self) -> None:
        """Leave the server; the last process that leaves stops it."""
        if self._keeper is not None:
            self._keeper.stop()
            self._keeper = None
        if self._users is None:
            return
        with self._start_lock(), self._users as users:
            self._users = None
            self._has_guardian = False
            if _is_last_user(users):
                if self._is_running():
                    self._run(*self._stop_command())
                if self._sockets.parent != self.directory:
                    with suppress(OSError):
                        self._sockets.rmdir()

    def _make_directories(self) -> None:
        self._account = server_account()
        if self._account is not None:
            programs = PROGRAMS.resolve()
            paths = (self._sockets, self.directory, programs / "postgres", programs / "initdb")
            above = {each for path in paths for each in path.parents if each.exists()}
            require_reachable([*sorted(above), *paths[2:]], self._account)
        for path in (self.directory, self._sockets):
            make_private(path, self._account)

    @contextmanager
    def _start_lock(self) -> Iterator[None]:
        with (self.directory / "start.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _start_or_join(self) -> None:
        with self._start_lock():
            if not self._data.exists():
                self._initialise()
            if self._status() not in {READY, STARTING}:
                self._launch()
            self._wait_until_ready()

    def _initialise(self) -> None:
        """Create the data directory, under another name until it is complete."""
        unfinished = self._data.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        self._run(
            str(PROGRAMS / "initdb"),
            *("-D", str(unfinished), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
        )
        unfinished.rename(self._data)

    def _launch(self) -> None:
        self._discard_pid_file_of_another_program()
        self._start_guardian()
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
            str(PROGRAMS / "pg_ctl"),
            *("start", "-D", str(self._data), "-l", str(self.log), "-o", flags),
            *("-w", "-t", str(START_TIMEOUT)),
        )

    def _start_guardian(self) -> None:
        """Start a process that stops the server if all that use it are killed.

        It waits for this process to leave: one will do, however often the server is started.
        """
        if self._has_guardian:
            return
        account = self._account
        ids = ("", "") if account is None else (str(account.pw_uid), str(account.pw_gid))
        subprocess.run(
            [
                *(sys.executable, "-I", "-S", str(guardian.__file__)),
                *(str(self.directory / "users.lock"), *ids, *self._stop_command()),
            ],
            check=True,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._has_guardian = True

    def _stop_command(self) -> tuple[str, ...]:
        return str(PROGRAMS / "pg_ctl"), "stop", "-D", str(self._data), "-m", "fast", "-w"

    def _discard_pid_file_of_another_program(self) -> None:
        """Remove a PID file left by a crash of the machine, if another program has that PID now."""
        with suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
            if psutil.Process(self._server_id()).name() != "postgres":
                (self._data / "postmaster.pid").unlink()

    def _server_id(self) -> int:
        """Return the process id of the server. Raises `FileNotFoundError`, `ValueError`."""
        return int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])

    def _is_running(self) -> bool:
        """Return whether the process of the server exists; a zombie has ended."""
        try:
            server = psutil.Process(self._server_id())
            return server.name() == "postgres" and server.status() != psutil.STATUS_ZOMBIE
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return False

    def _status(self) -> int:
        command = [str(PROGRAMS / "pg_isready"), "-q", "-h", str(self._sockets)]
        return subprocess.run(command, check=False, start_new_session=True).returncode

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while self._status() != READY:
            if time.monotonic() > deadline:
                raise EmbeddedPostgresFailed(
                    f"PostgreSQL was not ready after {START_TIMEOUT} seconds; see {self.log}."
                )
            time.sleep(0.05)

    def _run(self, *command: str) -> None:
        """Run a program of PostgreSQL, which Ctrl-C in the terminal does not reach."""
        account = self._account
        # A file, not a pipe: the server inherits it, and a pipe would never reach its end.
        with tempfile.TemporaryFile() as output:
            completed = subprocess.run(
                command,
                check=False,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=None if account is None else account.pw_uid,
                group=None if account is None else account.pw_gid,
                extra_groups=None if account is None else [],
                start_new_session=True,
            )
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
        if completed.returncode != 0:
            name = Path(command[0]).name
            raise EmbeddedPostgresFailed(f"{name} failed: {said}\nThe server's log: {self.log}")


def _is_last_user(users: IO[str]) -> bool:
    """Give up the lock of a user; return whether no other process has one.

    If the guardian has it, which stops the server, wait for that.
    """
    fcntl.flock(users, fcntl.LOCK_UN)
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            fcntl.flock(users, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(users, fcntl.LOCK_EX)
        else:
            return False
    return True
