"""``ostiary serve``."""

from __future__ import annotations

import asyncio

import click

from service.cli.context import load_settings, provide_database, require_schema
from service.cli.failures import fail


@click.command()
@click.option("--host", help="Address to listen on, a name, or unix:/path. OSTIARY_HOST.")
@click.option("--port", help="Port to listen on. OSTIARY_PORT.")
@click.option("--workers", help="Processes that serve requests. OSTIARY_WORKERS.")
def serve(**options: str | None) -> None:
    """Serve requests until stopped.

    An option takes precedence over its variable. All other settings are environment variables:
    `ostiary settings` lists them, and docs/settings.md says what they mean.
    """
    from service.server.supervisor import AddressInUse
    from service.server.supervisor import serve as run_server

    settings = load_settings(options)
    with provide_database(settings) as (url, data_location):
        asyncio.run(require_schema(settings, url))

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
