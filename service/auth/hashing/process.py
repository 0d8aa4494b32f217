"""A hash process, as the service sees it."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress

import msgspec

from service.auth.hashing.jobs import Job, Result
from service.settings.passwords import Argon2Cost

# Maximum time for an idle process to end by itself, in seconds.
STOP_TIMEOUT = 1.0


class HashProcessDied(Exception):
    """A process could not be started, ended during a job, or was killed since the job failed."""


class HashProcess:
    """A process that runs `service.auth.hashing.program`; started on demand.

    ``starts`` is how often it was started. ``has_failed`` says whether the last job that ended, if
    there was one, had no result.
    """

    def __init__(self, cost: Argon2Cost, time_limit: float) -> None:
        self.starts = 0
        self.has_failed = False
        self._cost = cost
        self._time_limit = time_limit
        self._process: Process | None = None
        self._is_stopped = False

    async def execute(self, job: Job) -> Result:
        """Return the result of a job. If the process dies, tries once more with a new one.

        A job that takes longer than the time limit is ended, and so is one that fails in any other
        way: its process is killed, and replaced for the next job. Raises `HashProcessDied`.
        """
        line = msgspec.json.encode(job) + b"\n"
        has_failed = True
        try:
            async with asyncio.timeout(self._time_limit):
                result = await self._execute(line)
            has_failed = False
        except TimeoutError as error:
            raise HashProcessDied("a job exceeded its time limit") from error
        except ValueError as error:
            raise HashProcessDied("a process wrote what is no result") from error
        finally:
            if has_failed:
                # The next job would take for its result what this one is still to write.
                await self._kill()
            self.has_failed = has_failed
        return result

    async def stop(self) -> None:
        """Let the process end; kill it if it does not, or executes a job."""
        self._is_stopped = True
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self._process.wait()
        except TimeoutError:
            await self._kill()

    async def _execute(self, job: bytes) -> Result:
        try:
            return await self._try(job)
        except HashProcessDied:
            return await self._try(job)

    async def _try(self, job: bytes) -> Result:
        process = await self._started()
        if process.stdin is None or process.stdout is None:
            raise AssertionError("a process without pipes")
        line = b""
        # Closed: the process has died, and its end was not reported yet. uvloop, unlike asyncio,
        # raises `RuntimeError` for a write then.
        if not process.stdin.is_closing():
            with suppress(ConnectionError):
                process.stdin.write(job)
                line = await process.stdout.readline()
        if not line:
            await process.wait()
            raise HashProcessDied("a process ended during a job")
        result: Result = msgspec.json.decode(line, type=Result)
        return result

    async def _started(self) -> Process:
        if self._is_stopped:
            raise HashProcessDied("the processes are stopped")
        if self._process is None or self._process.returncode is not None:
            self.starts += 1
            try:
                self._process = await self._start()
            except OSError as error:
                raise HashProcessDied(f"a process cannot be started: {error}") from error
        return self._process

    async def _start(self) -> Process:
        return await asyncio.create_subprocess_exec(
            # -P: the working directory may contain another package named "service".
            *(sys.executable, "-P", "-m", "service.auth.hashing.program"),
            *(msgspec.json.encode(self._cost).decode(), str(os.getpid())),
            stdin=PIPE,
            stdout=PIPE,
            # A session of its own: Ctrl-C does not reach it, and see `program.lower_priority`.
            start_new_session=True,
        )

    async def _kill(self) -> None:
        process = self._process
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
