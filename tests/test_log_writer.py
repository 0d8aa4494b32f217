"""The log, whose reader does not read, is gone, or has no space left."""

from __future__ import annotations

import fcntl
import json
import logging
import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from service.log_writer import LogWriter
from service.logging import configure_logging
from service.settings import Settings
from service.settings.logs import LogSettings
from service.settings.values import LogFormat
from tests.factories import log_in
from tests.services import NO_LIMITS, PATIENCE, running, wait_for

# The least that Linux allows.
PIPE_SIZE = 4096

JSON = Settings(log=LogSettings(format=LogFormat.JSON))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return both ends of a pipe that is soon full."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    yield reading, writing
    os.close(reading)
    os.close(writing)


@contextmanager
def logging_to(file: int, max_queued: int = 10, settings: Settings = JSON) -> Iterator[LogWriter]:
    """Write the log of this process to a file, as JSON unless the settings say otherwise."""
    kept = (logging.getLogger().handlers[:], logging.getLogger().level, sys.stderr)
    with open(file, "w", closefd=False) as stream:
        sys.stderr = stream
        configure_logging(settings)
        sys.stderr = kept[2]
        (writer,) = logging.getLogger().handlers
        assert isinstance(writer, LogWriter)
        writer._max_queued = max_queued
        try:
            yield writer
        finally:
            logging.getLogger().handlers, logging.getLogger().level = kept[:2]
            structlog.reset_defaults()


def log(number: int, text: str = "x" * 100) -> None:
    for each in range(number):
        logging.getLogger("test").warning("%d %s", each, text)


def events(text: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def drained(reading: int, writer: LogWriter) -> list[dict[str, Any]]:
    """Return all events, of a writer that has nothing left to write."""
    os.set_blocking(reading, False)
    text = b""

    def is_done() -> bool:
        nonlocal text
        # Asked before the pipe is found empty: the last line may be written in between.
        is_all_written = not writer._lines.unfinished_tasks
        try:
            text += os.read(reading, 1 << 20)
        except BlockingIOError:
            return is_all_written
        return False

    wait_for(is_done, "all that was queued is written")
    return events(text)


def test_a_reader_that_does_not_read_blocks_nobody_and_learns_what_it_lost(
    pipe: tuple[int, int],
) -> None:
    reading, writing = pipe
    with logging_to(writing) as writer:
        log(200)
        first = drained(reading, writer)
        log(1)
        second = drained(reading, writer)
    found = [*first, *second]
    lost = [each["lost"] for each in found if each["event"] == "log_events_lost"]
    written = len(found) - len(lost)
    assert lost
    assert written + sum(lost) == 201


def test_a_report_of_losses_is_an_event_like_others(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    with logging_to(writing) as writer:
        log(1)
        drained(reading, writer)
        writer._lost = 3
        log(1)
        found = drained(reading, writer)[-1]
    assert found.pop("timestamp").endswith("Z")
    assert found == {
        "event": "log_events_lost",
        "lost": 3,
        "level": "error",
        "logger": "service.log_writer",
    }


def test_a_reader_that_left_blocks_nobody(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with logging_to(writing) as writer:
        log(3)
        wait_for(lambda: writer._lost == 3, "the losses are counted")
    os.close(writing)


def fill_disk(path: Path, result: Any) -> None:
    """Log to a file that may not grow beyond some size, then let it grow."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with path.open("w") as file, logging_to(file.fileno()):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        log(10)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        log(1)
    result.send(path.read_bytes())


def test_what_a_full_disk_lost_is_told_when_there_is_space_again(tmp_path: Path) -> None:
    receiving, sending = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(
        target=fill_disk, args=(tmp_path / "log", sending)
    )
    process.start()
    assert receiving.poll(PATIENCE)
    *_, last = receiving.recv().splitlines()
    process.join()
    assert json.loads(last)["event"] == "log_events_lost"
    assert json.loads(last)["lost"] > 0


def log_and_end(writing: int) -> None:
    with logging_to(writing):
        log(5, "x")


def test_the_last_events_of_a_process_are_written(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    process = multiprocessing.get_context("fork").Process(target=log_and_end, args=(writing,))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == 0
    assert len(events(os.read(reading, 1 << 20))) == 5


def test_a_log_that_nobody_reads_stops_no_request_and_no_signal(
    database_url: str, tmp_path: Path
) -> None:
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    with running(database_url, fifo, NO_LIMITS) as service, service.client() as client:
        for _ in range(PIPE_SIZE // 100):
            assert log_in(client).status_code == 401
        assert client.get("/healthz").status_code == 200
        service.process.terminate()
        service.process.wait(PATIENCE)
    os.close(reading)


def test_threads_that_log_first_at_the_same_moment_start_one_writer(
    pipe: tuple[int, int], unfair_switches: None
) -> None:
    reading, writing = pipe
    for _ in range(50):
        together = threading.Barrier(4)

        def log_together(writer: LogWriter, together: threading.Barrier = together) -> None:
            together.wait(PATIENCE)
            writer.write("{}")

        with logging_to(writing) as writer, ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(log_together, writer) for _ in range(4)]:
                done.result(PATIENCE)
            assert len(drained(reading, writer)) == 4


@pytest.fixture
def unfair_switches() -> Iterator[None]:
    """Let threads take turns as often as possible."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)
