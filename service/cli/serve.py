"""``ostiary serve``."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import click

from service.cli.context import fail, load_settings, provide_database, reporting_errors
from service.settings import Settings
from service.storage.schema import is_behind, migrate, revision_of


@click.command()
def serve() -> None:
    """Serve requests until stopped."""
    from service.server.stop_signals import stopping_once
    from service.server.supervisor import CannotServe, require_resources
    from service.server.supervisor import serve as run_server

    settings = load_settings()
    try:
        # Before a data directory is made, or a database changed.
        require_resources(settings)
        with stopping_once(), provide_database(settings) as (url, data_location):
            _prepare_schema(settings, url)
            run_server(settings, url, lambda: _announce(settings, data_location))
    except CannotServe as error:
        fail(str(error))


def _announce(settings: Settings, data_location: str) -> None:
    address = settings.server.browser_url
    # Whoever reads standard output may have gone.
    with suppress(OSError):
        click.echo(
            f"Ostiary listens on {address} · documentation {address}/docs · data in {data_location}"
        )


def _prepare_schema(settings: Settings, url: str) -> None:
    """Migrate in development; in production, exit if migrations are missing."""
    with reporting_errors():
        if not settings.is_production:
            asyncio.run(migrate(url))
        elif is_behind(asyncio.run(revision_of(url))):
            fail("The database lacks migrations of this version: run `ostiary migrate` first.")
