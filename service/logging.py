"""The log: one event on each line, as text or JSON, on standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from service.auth.audit import LOGGER as AUDIT_LOGGER
from service.log_writer import LogWriter
from service.settings import Settings
from service.settings.values import LogFormat

# Loggers that write at every level of the log.
ALWAYS_WRITTEN = (AUDIT_LOGGER, "access")

# What the shared processors add to each event, and its name.
ALWAYS_THERE = ("event", "level", "logger", "timestamp")


class EventLogger:
    """Writes the lines of structlog; whether one is written depends on the level of its logger.

    Python's own loggers would look at the stack and copy each event twice, which takes as long as
    everything else that is done with an event.
    """

    # `filter_by_level` of structlog reads this, and `getEffectiveLevel`.
    disabled = False

    def __init__(self, writer: LogWriter, logger: logging.Logger) -> None:
        self.name = logger.name
        self.getEffectiveLevel = logger.getEffectiveLevel
        self.debug = self.info = self.warning = writer.write
        self.error = self.exception = self.critical = writer.write


def configure_logging(settings: Settings) -> None:
    """Send all events, those of libraries too, through one writer, in one form.

    No local variables are shown. The audit trail and the access log are written at every level.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderers = _renderers(settings.log_format)
    writer = LogWriter(sys.stderr)
    writer.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(["lost"])],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    logging.basicConfig(handlers=[writer], level=settings.log.level.upper(), force=True)
    # They tell of each migration, and of each request to a provider with its headers.
    for each in ("alembic", "httpx", "httpcore"):
        logging.getLogger(each).setLevel(logging.WARNING)
    for each in ALWAYS_WRITTEN:
        logging.getLogger(each).setLevel(logging.INFO)
    # Finds the name of the module that logs, and not that of this one.
    logger_of_caller = structlog.stdlib.LoggerFactory(ignore_frame_names=[__name__])
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, _always_rendered(renderers)],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=lambda *name: EventLogger(writer, logger_of_caller(*name)),
        cache_logger_on_first_use=True,
    )


def _always_rendered(renderers: Sequence[Processor]) -> Processor:
    """Return a renderer that never raises.

    An event that cannot be rendered is logged with `ALWAYS_THERE` only, and ``not_rendered`` has
    the reason.
    """

    def render(logger: Any, method: str, event: EventDict) -> Any:
        try:
            return _render(renderers, logger, method, dict(event))
        except Exception as error:  # noqa: BLE001 - as Python's handlers do
            kept = {name: event[name] for name in ALWAYS_THERE if name in event}
            return _render(renderers, logger, method, {**kept, "not_rendered": repr(error)})

    return render


def _render(renderers: Sequence[Processor], logger: Any, method: str, event: EventDict) -> Any:
    rendered: Any = event
    for renderer in renderers:
        rendered = renderer(logger, method, rendered)
    return rendered


def _renderers(log_format: LogFormat) -> list[Processor]:
    if log_format is LogFormat.JSON:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    ]
