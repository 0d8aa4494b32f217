"""The option ``--wait``, for commands that may start before the database does."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from service.settings import Settings
from service.settings.values import Duration
from service.storage.connection import admin_options, wait_for_server


class DurationType(click.ParamType[Duration]):
    """A length of time, as in the settings."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Duration:
        """Read a duration."""
        try:
            return value if isinstance(value, Duration) else Duration.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


wait_option = click.option(
    "--wait",
    type=DurationType(),
    help="Wait so long for a database that does not accept connections yet: 60s.",
)


def wait_for_database(url: str, settings: Settings, wait: Duration | None) -> None:
    """Wait for the database as long as the option says, or the setting.

    Raises `DatabaseUnavailable`.
    """
    seconds = wait or settings.database.wait
    if seconds is not None:
        asyncio.run(wait_for_server(url, admin_options(settings.database), seconds))
