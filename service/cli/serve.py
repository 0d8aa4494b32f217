"""``ostiary serve``."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import click

from service.cli.context import load_settings, provide_database, require_schema
from service.cli.failures import fail
from service.settings import Settings


@click.command()
@click.option("--host", help="Address to listen on, a name, or unix:/path. OSTIARY_HOST.")
@click.option("--port", help="Port to listen on. OSTIARY_PORT.")
@click.option("--workers", help="Processes that serve requests. OSTIARY_WORKERS.")
def serve(**options: str | None) -> None:
    """Serve requests until stopped.

    An option takes precedence over its variable. All other settings are environment variables:
    `ostiary settings` lists them, and docs/settings.md says what they mean.
    """
    from service.server.stop_signals import stopping_once
    from service.server.supervisor import CannotServe, require_resources
    from service.server.supervisor import serve as run_server

    settings = load_settings(options)
    try:
        # Before a data directory is made, or a database changed.
        require_resources(settings)
        with stopping_once(), provide_database(settings) as (url, data_location):
            asyncio.run(require_schema(settings, url))
            run_server(settings, url, lambda: _announce(settings, data_location))
    except CannotServe as error:
        fail(str(error))


def _announce(settings: Settings, data_location: str) -> None:
    address = settings.server.url
    # Whoever reads standard output may have gone.
    with suppress(OSError):
        click.echo(
            f"Ostiary listens on {address} · documentation {address}/docs · data in {data_location}"
        )
