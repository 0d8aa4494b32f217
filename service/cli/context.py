"""What every command needs: the settings, a database, and errors in one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from service.auth.errors import AuthError, ValidationFailed
from service.logging import configure_logging
from service.settings import Settings
from service.settings.variables import InvalidSettings, read_settings
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
    try:
        from service.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresFailed
    except ModuleNotFoundError as error:
        fail(
            f"Set DATABASE_URL, or install the embedded PostgreSQL, which needs {error.name}: "
            "pip install 'ostiary[embedded]'"
        )

    embedded = EmbeddedPostgres(settings.data_dir)
    try:
        embedded.start()
        try:
            yield embedded.url(), str(embedded.directory)
        finally:
            embedded.stop()
    except EmbeddedPostgresFailed as error:
        fail(str(error))


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
