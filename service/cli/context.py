"""What every command needs: the settings, a database, and errors in one line."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from service.auth.errors import AuthError, ValidationFailed
from service.logging import configure_logging
from service.settings import Settings
from service.settings.values import Duration
from service.settings.variables import InvalidSettings, read_settings
from service.storage.connection import admin_options, wait_for_server
from service.storage.database import DatabaseUnavailable
from service.storage.privileges import NoSuchRole
from service.storage.schema import UnknownRevision


def load_settings() -> Settings:
    """Return the settings of the environment; if some are invalid, print all errors and exit."""
    try:
        settings = read_settings(os.environ)
    except InvalidSettings as error:
        fail("Invalid settings:\n" + "\n".join(f"  {line}" for line in error.errors))
    configure_logging(settings)
    return settings


@contextmanager
def provide_database(settings: Settings) -> Iterator[tuple[str, str]]:
    """Provide a database; starts the embedded server if ``DATABASE_URL`` is not set.

    Yields the database's URL, and where its data is.
    """
    if settings.database_url is not None:
        yield settings.database_url, "the database of DATABASE_URL"
        return
    from service.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresFailed

    embedded = EmbeddedPostgres(settings.data_dir)
    try:
        embedded.start()
        yield embedded.url(), str(embedded.directory)
    except EmbeddedPostgresFailed as error:
        fail(str(error))
    finally:
        embedded.stop()


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


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Print an error in a line or two, and exit."""
    try:
        yield
    except DatabaseUnavailable as error:
        fail(f"The database is unavailable: {error}")
    except UnknownRevision as error:
        fail(f"This version has no such revision: {error}")
    except NoSuchRole as error:
        fail(f"The database has no role {error}; create it first: CREATE ROLE {error} LOGIN …")
    except ValidationFailed as error:
        fail("\n".join(each.message for each in error.errors))
    except AuthError as error:
        fail(error.message)


def fail(message: str) -> NoReturn:
    """Print a message to standard error and exit with code 1."""
    click.echo(message, err=True)
    sys.exit(1)
