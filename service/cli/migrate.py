"""``ostiary migrate``."""

from __future__ import annotations

import asyncio

import click

from service.cli.context import load_settings, provide_database
from service.storage import schema
from service.storage.privileges import grant_to


@click.command()
@click.option("--to", "revision", default="head", show_default=True, help="`base`, or a revision.")
@click.option(
    "--grant-to", "role", help="Grant this role what `ostiary serve` needs; see docs/operations.md."
)
def migrate(revision: str, role: str | None) -> None:
    """Migrate the database's schema to the newest revision, or to another one."""
    with provide_database(load_settings()) as (url, _):
        migration = asyncio.run(schema.migrate(url, revision))
        if role is not None:
            asyncio.run(grant_to(url, role))
    before, after = migration.before or "empty", migration.after or "empty"
    click.echo(f"The schema was migrated from {before} to {after}.")
    if role is not None:
        click.echo(f"{role} has the privileges that the service needs, and no others.")
