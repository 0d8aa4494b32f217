"""The log: one event on each line, as text or JSON, on standard error."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import structlog

from service.auth.audit import LOGGER as AUDIT_LOGGER
from service.settings import Settings
from service.settings.values import LogFormat


def configure_logging(settings: Settings) -> None:
    """Send all events, those of libraries too, through one formatter that shows no local variables.

    The audit trail is logged at every level.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *_renderers(settings.log_format),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=settings.log.level.upper(), force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger(AUDIT_LOGGER).setLevel(logging.INFO)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _renderers(log_format: LogFormat) -> list[structlog.typing.Processor]:
    if log_format is LogFormat.JSON:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    ]


# Seconds between two lines of an event that goes on.
SAMPLING_INTERVAL = 5.0


class SampledLog:
    """A log of events that may come thousands of times a second, in an outage for example.

    The first one is logged at once. From then on, as long as it comes again, there is one line in
    each interval: the last of them, with the number of those that have no line of their own.
    """

    def __init__(
        self, log: structlog.stdlib.BoundLogger, interval: float = SAMPLING_INTERVAL
    ) -> None:
        self._log = log
        self._interval = interval
        self._suppressed: dict[str, int] = {}
        self._last: dict[str, dict[str, Any]] = {}

    def warning(self, event: str, **fields: Any) -> None:
        """Log an event, or count it."""
        if event in self._suppressed:
            self._suppressed[event] += 1
            self._last[event] = fields
        else:
            self._log.warning(event, **fields)
            self._count_from_now(event)

    def _count_from_now(self, event: str) -> None:
        self._suppressed[event] = 0
        asyncio.get_running_loop().call_later(self._interval, self._report, event)

    def _report(self, event: str) -> None:
        suppressed = self._suppressed.pop(event)
        if suppressed:
            self._log.warning(event, suppressed=suppressed - 1, **self._last.pop(event))
            self._count_from_now(event)
