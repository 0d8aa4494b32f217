"""``ostiary serve``."""

from __future__ import annotations

import asyncio

import click
import structlog

from service.cli.context import (
    fail,
    load_settings,
    provide_database,
    reporting_errors,
    wait_for_database,
    wait_option,
)
from service.settings import Settings
from service.settings.values import Duration
from service.storage.connection import admin_options, may_be_intercepted
from service.storage.schema import is_behind, migrate, revision_of

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@click.command()
@wait_option
def serve(wait: Duration | None) -> None:
    """Serve requests until stopped."""
    from service.server.supervisor import AddressInUse
    from service.server.supervisor import serve as run_server

    settings = load_settings()
    with provide_database(settings) as (url, data_location):
        _prepare_schema(settings, url, wait)

        def announce() -> None:
            address = settings.server.url
            click.echo(
                f"Ostiary listens on {address} · documentation {address}/docs"
                f" · data in {data_location}"
            )

        try:
            run_server(settings, url, announce)
        except AddressInUse as error:
            fail(str(error))


def _prepare_schema(settings: Settings, url: str, wait: Duration | None) -> None:
    """Migrate in development; in production, exit if migrations are missing."""
    options = admin_options(settings.database)
    if settings.is_production and may_be_intercepted(url):
        log.warning("database_tls_unverified", remedy="add ?sslmode=verify-full to DATABASE_URL")
    with reporting_errors():
        wait_for_database(url, settings, wait)
        if not settings.is_production:
            asyncio.run(migrate(url, options=options))
        elif is_behind(asyncio.run(revision_of(url, options))):
            fail("The database lacks migrations of this version: run `ostiary migrate` first.")
