"""The log: one event on each line, as text or JSON, on standard error."""

from __future__ import annotations

import logging
import sys

import structlog

from service.auth.audit import LOGGER as AUDIT_LOGGER
from service.log_writer import LogWriter
from service.settings import Settings
from service.settings.values import LogFormat


class EventLogger:
    """Writes the lines of structlog; whether one is written depends on the level of its logger.

    Python's own loggers would look at the stack and copy each event twice, which takes as long as
    all else that becomes of an event.
    """

    disabled = False

    def __init__(self, writer: LogWriter, logger: logging.Logger) -> None:
        self.name = logger.name
        self.getEffectiveLevel = logger.getEffectiveLevel
        self.debug = self.info = self.warning = self.error = self.critical = writer.write


def configure_logging(settings: Settings) -> None:
    """Send all events, those of libraries too, through one writer, in one form.

    No local variables are shown. The audit trail is logged at every level.
    """
    shared: list[structlog.typing.Processor] = [
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
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger(AUDIT_LOGGER).setLevel(logging.INFO)
    named = structlog.stdlib.LoggerFactory(ignore_frame_names=[__name__])
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, *renderers],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=lambda *name: EventLogger(writer, named(*name)),
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
