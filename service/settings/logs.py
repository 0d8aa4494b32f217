"""The log."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from service.settings.values import LogFormat, LogLevel


class LogSettings(Struct, frozen=True, kw_only=True):
    """The form and the level of the log."""

    prefix: ClassVar[str] = "LOG_"

    format: Annotated[
        LogFormat | None,
        Meta(description="`text` or `json`. Default: `json` in production, else `text`."),
    ] = None
    level: Annotated[LogLevel, Meta(description="`debug`, `info`, `warning` or `error`.")] = (
        LogLevel.INFO
    )
    requests: Annotated[
        bool,
        Meta(
            description="Write a line for each request, with its route, status, duration and user; "
            "at every level."
        ),
    ] = False
