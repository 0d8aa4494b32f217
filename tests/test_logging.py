"""An event that comes thousands of times a second takes no thousands of lines."""

from __future__ import annotations

import asyncio
import logging

import structlog

from service.logging import SampledLog
from tests.services import PATIENCE


def sampled(lines: list[dict[str, object]], interval: float) -> SampledLog:
    def keep(_: object, __: str, event: structlog.typing.EventDict) -> str:
        lines.append(dict(event))
        raise structlog.DropEvent

    return SampledLog(structlog.wrap_logger(logging.getLogger(), processors=[keep]), interval)


async def test_the_first_event_is_logged_at_once_and_the_others_are_counted() -> None:
    lines: list[dict[str, object]] = []
    log = sampled(lines, 0.01)
    for number in range(1000):
        log.warning("outage", request_id=number)
    log.warning("something else")
    assert lines == [{"event": "outage", "request_id": 0}, {"event": "something else"}]
    async with asyncio.timeout(PATIENCE):
        while len(lines) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert lines[2] == {"event": "outage", "request_id": 999, "suppressed": 998}


async def test_an_event_after_a_quiet_interval_is_logged_at_once() -> None:
    lines: list[dict[str, object]] = []
    log = sampled(lines, 0.0)
    for number in range(3):
        log.warning("outage", request_id=number)
        await asyncio.sleep(0.01)
    assert lines == [{"event": "outage", "request_id": number} for number in range(3)]
