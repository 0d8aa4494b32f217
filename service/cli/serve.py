"""``ostiary serve``."""

from __future__ import annotations

import asyncio

import click

from service.cli.context import fail, load_settings, provide_database, reporting_errors
from service.settings import Settings
from service.storage.schema import is_behind, migrate, revision_of


@click.command()
def serve() -> None:
    """Serve requests until stopped."""
    from service.server.supervisor import CannotServe
    from service.server.supervisor import serve as run_server

    settings = load_settings()
    with provide_database(settings) as (url, data_location):
        _prepare_schema(settings, url)

        def announce() -> None:
            address = settings.server.url
            click.echo(
                f"Ostiary listens on {address} · documentation {address}/docs"
                f" · data in {data_location}"
            )

        try:
            run_server(settings, url, announce)
        except CannotServe as error:
            fail(str(error))


def _prepare_schema(settings: Settings, url: str) -> None:
    """Migrate in development; in production, exit if migrations are missing."""
    with reporting_errors():
        if not settings.is_production:
            asyncio.run(migrate(url))
        elif is_behind(asyncio.run(revision_of(url))):
            fail("The database lacks migrations of this version: run `ostiary migrate` first.")
