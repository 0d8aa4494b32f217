"""The log's way to standard error, which never blocks a request.

A regular file is written to at once. A pipe, a socket or a terminal may have a reader that does not
keep up: there a bounded queue is between, and a thread that writes. Events that did not fit into
the queue, or could not be written (a full disk, a closed pipe), are counted; an event tells their
number as soon as writing succeeds again.
"""

from __future__ import annotations

import logging
import os
import queue
import stat
import threading
import time
from multiprocessing.util import Finalize
from typing import TextIO

from service.metrics import LOG_EVENTS_LOST

# How many events may wait to be written, in each process.
MAX_QUEUED = 10_000

# Maximum time, in seconds, to write what is queued when the process ends.
FLUSH_TIMEOUT = 1.0

# Flushed after all else at the end of a process (`multiprocessing.util.Finalize`).
LAST = -100

# How long a pipe that is full, and that somebody made non-blocking, is left alone, in seconds.
RETRY_INTERVAL = 0.01


class LogWriter(logging.Handler):
    """Writes events to ``stream``. Processes that are forked have a queue and a thread each."""

    def __init__(self, stream: TextIO, max_queued: int = MAX_QUEUED) -> None:
        super().__init__()
        self._file = stream.fileno()
        self._never_blocks = stat.S_ISREG(os.fstat(self._file).st_mode)
        self._max_queued = max_queued
        self._lost = 0
        self._process: int | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write an event of a library, as `write` does."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - as all handlers do
            self.handleError(record)
        else:
            self.write(line)

    def write(self, line: str) -> None:
        """Write a line, or queue it; count it if neither is possible."""
        if self._never_blocks:
            self._write(line)
            return
        if self._process != os.getpid():
            self._start_thread()
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._count_lost()

    def flush(self) -> None:
        """Wait until all is written, at most `FLUSH_TIMEOUT` seconds."""
        if self._process != os.getpid():
            return
        deadline = time.monotonic() + FLUSH_TIMEOUT
        with self._lines.all_tasks_done:
            while self._lines.unfinished_tasks:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not self._lines.all_tasks_done.wait(remaining):
                    return

    def _start_thread(self) -> None:
        """Start the queue and the thread of this process, once, whichever thread logs first."""
        self.acquire()
        try:
            if self._process == os.getpid():
                return
            self._lost = 0
            self._lines: queue.Queue[str] = queue.Queue(self._max_queued)
            threading.Thread(target=self._write_queued, name="log-writer", daemon=True).start()
            Finalize(self, self.flush, exitpriority=LAST)
            self._process = os.getpid()
        finally:
            self.release()

    def _write_queued(self) -> None:
        while True:
            self._write(self._lines.get())
            self._lines.task_done()

    def _write(self, line: str) -> None:
        if not self._write_line(line):
            self._count_lost()
        elif self._lost:
            lost, self._lost = self._lost, 0
            if not self._write_line(self.format(_losses(lost))):
                self._lost += lost

    def _count_lost(self) -> None:
        self._lost += 1
        LOG_EVENTS_LOST.add()

    def _write_line(self, line: str) -> bool:
        """Write a line; return whether that succeeded."""
        rest = f"{line}\n".encode(errors="backslashreplace")
        while rest:
            try:
                rest = rest[os.write(self._file, rest) :]
            except BlockingIOError:
                time.sleep(RETRY_INTERVAL)
            except OSError:
                return False
        return True


def _losses(number: int) -> logging.LogRecord:
    """Return the event that tells how many events were lost, as the attribute ``lost``."""
    record = logging.LogRecord(
        __name__, logging.ERROR, __file__, 0, "log_events_lost", args=None, exc_info=None
    )
    record.lost = number
    return record
