"""A hash process, as the service sees it."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress

import msgspec

from service.auth.hashing.jobs import Job, Result
from service.settings.passwords import Argon2Cost

# Maximum length of a result, in bytes.
MAX_LINE_LENGTH = 64 * 1024


class HashProcessDied(Exception):
    """A process ended during a job, killed by a kernel that was out of memory for example."""


class HashProcess:
    """A process that runs `service.auth.hashing.program`; started on demand.

    It is warm once it has executed a job: the first one takes as long as the start of the process.
    """

    def __init__(self, cost: Argon2Cost) -> None:
        self.is_warm = False
        self.has_died = False
        self._cost = cost
        self._process: Process | None = None

    async def execute(self, job: Job) -> Result:
        """Return the result of a job. If the process dies, tries once more with a new one.

        Raises `HashProcessDied`.
        """
        try:
            return await self._try(job)
        except HashProcessDied:
            return await self._try(job)

    async def stop(self) -> None:
        """Let the process end, and wait for it."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await self._process.wait()

    async def _try(self, job: Job) -> Result:
        process = await self._started()
        if process.stdin is None or process.stdout is None:
            raise AssertionError("a process without pipes")
        line = b""
        with suppress(ConnectionError):
            process.stdin.write(msgspec.json.encode(job) + b"\n")
            await process.stdin.drain()
            line = await process.stdout.readline()
        if not line:
            await process.wait()
            self.has_died = True
            raise HashProcessDied
        self.is_warm = True
        self.has_died = False
        result: Result = msgspec.json.decode(line, type=Result)
        return result

    async def _started(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self.is_warm = False
            self._process = await asyncio.create_subprocess_exec(
                # -P: the working directory may contain another package named "service".
                *(sys.executable, "-P", "-m", "service.auth.hashing.program"),
                msgspec.json.encode(self._cost).decode(),
                stdin=PIPE,
                stdout=PIPE,
                limit=MAX_LINE_LENGTH,
                # A session of its own: Ctrl-C does not reach it, and see `program.lower_priority`.
                start_new_session=True,
            )
        return self._process
