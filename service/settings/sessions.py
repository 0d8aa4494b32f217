"""How long sessions live."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from service.settings.values import Duration


class SessionSettings(Struct, frozen=True, kw_only=True):
    """The periods of a session, in seconds."""

    prefix: ClassVar[str] = "SESSION_"

    active_period: Annotated[
        Duration, Meta(description="How long a session is active after log-in or renewal.")
    ] = Duration.parse("1d")
    idle_period: Annotated[
        Duration,
        Meta(description="How long after its active period a session can still be renewed."),
    ] = Duration.parse("14d")
    max_lifetime: Annotated[
        Duration, Meta(description="How long after log-in a session ends, renewed or not.")
    ] = Duration.parse("30d")
