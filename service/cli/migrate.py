"""``ostiary migrate``."""

from __future__ import annotations

import asyncio

import click

from service.cli.context import load_settings, provide_database
from service.cli.waiting import wait_for_database, wait_option
from service.settings.values import Duration
from service.storage import schema
from service.storage.connection import admin_options
from service.storage.privileges import grant_to


@click.command()
@click.option("--to", "revision", default="head", show_default=True, help="`base`, or a revision.")
@click.option(
    "--grant-to", "role", help="Grant this role what `ostiary serve` needs; see docs/operations.md."
)
@wait_option
def migrate(revision: str, role: str | None, wait: Duration | None) -> None:
    """Migrate the database's schema to the newest revision, or to another one."""
    if role is not None and revision != "head":
        raise click.UsageError("--grant-to grants what the newest revision needs: not with --to.")
    settings = load_settings()
    options = admin_options(settings.database)
    with provide_database(settings) as (url, _):
        wait_for_database(url, settings, wait)
        migration = asyncio.run(schema.migrate(url, revision, options))
        if role is not None:
            asyncio.run(grant_to(url, role, options))
    before, after = migration.before or "empty", migration.after or "empty"
    click.echo(f"The schema was migrated from {before} to {after}.")
    if role is not None:
        click.echo(f"{role} has the privileges that the service needs, and no others.")
