"""Events: which are written, and in which form."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from service.background import run_periodically
from service.settings import Settings
from service.settings.logs import LogSettings
from service.settings.values import LogFormat, LogLevel
from tests.test_log_writer import logging_to


def logged(
    path: Path,
    work: Callable[[], object],
    log_format: LogFormat = LogFormat.JSON,
    level: LogLevel = LogLevel.DEBUG,
) -> str:
    """Return what ``work`` logs."""
    settings = Settings(log=LogSettings(format=log_format, level=level))
    with path.open("w") as file, logging_to(file.fileno(), settings=settings):
        work()
    return path.read_text()


@pytest.mark.parametrize("log_format", list(LogFormat))
@pytest.mark.parametrize(
    ("method", "level"),
    [
        *((each, each) for each in ("debug", "info", "warning", "error", "critical")),
        *(("warn", "warning"), ("exception", "error"), ("fatal", "critical")),
    ],
)
def test_an_event_of_every_level_is_written(
    tmp_path: Path, log_format: LogFormat, method: str, level: str
) -> None:
    def work() -> None:
        getattr(structlog.get_logger("test"), method)("it_happened", detail=7)

    line = logged(tmp_path / "log", work, log_format)
    assert "it_happened" in line
    assert level in line
    assert "7" in line


def test_the_audit_trail_is_written_at_every_level(tmp_path: Path) -> None:
    def work() -> None:
        structlog.get_logger("test").warning("hidden")
        structlog.get_logger("audit").info("shown")

    assert [
        json.loads(line)["event"]
        for line in logged(tmp_path / "log", work, level=LogLevel.ERROR).splitlines()
    ] == ["shown"]


@pytest.mark.parametrize("log_format", list(LogFormat))
@pytest.mark.parametrize("value", [{(1, 2): 3}, float("nan"), "\ud800", "\0\x9b\n", object()])
def test_no_event_fails_the_code_that_logs_it(
    tmp_path: Path, log_format: LogFormat, value: Any
) -> None:
    def work() -> None:
        structlog.get_logger("test").warning("odd", value=value)

    (line,) = logged(tmp_path / "log", work, log_format).split("\n")[:-1]
    assert "odd" in line


def test_requests_to_providers_are_not_logged_with_their_headers(tmp_path: Path) -> None:
    def work() -> None:
        for library in ("httpx", "httpcore.http11"):
            logging.getLogger(library).info("a URL")
            logging.getLogger(library).debug("headers")

    assert logged(tmp_path / "log", work) == ""


def test_what_cannot_be_rendered_is_told(tmp_path: Path) -> None:
    def work() -> None:
        structlog.get_logger("test").warning("odd", value={(1, 2): 3})

    event = json.loads(logged(tmp_path / "log", work))
    assert event.pop("timestamp").endswith("Z")
    assert "TypeError" in event.pop("not_rendered")
    assert event == {"event": "odd", "level": "warning", "logger": "test"}


def test_a_background_task_that_fails_is_logged_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.background.log", structlog.get_logger("background"))
    runs = []

    async def work() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise ZeroDivisionError
        raise asyncio.CancelledError

    async def run() -> None:
        with pytest.raises(asyncio.CancelledError):
            await run_periodically("work", work, interval=0.001)

    lines = logged(tmp_path / "log", lambda: asyncio.run(run())).splitlines()
    (event,) = (each for each in map(json.loads, lines) if each["logger"] == "background")
    assert (event["level"], event["task"]) == ("error", "work")
    assert "ZeroDivisionError" in event["exception"]
    assert len(runs) == 2
