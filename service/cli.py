"""The command ``ostiary``."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

import service
from service.commands.import_lucia import import_lucia
from service.commands.surroundings import database_of, fail, failures_told, opened, settings
from service.commands.user import user
from service.settings import Settings
from service.storage.privileges import grant_to
from service.storage.schema import is_behind, migrate, revision_of

DOCUMENT = Path(__file__).parent.parent / "openapi" / "openapi.json"


@click.group()
@click.version_option(service.__version__, prog_name="ostiary")
def main() -> None:
    """A self-hosted JSON REST auth service. The README lists its settings."""


main.add_command(user)
main.add_command(import_lucia)


@main.command()
def serve() -> None:
    """Answer requests until told to stop."""
    from service import server

    configured = settings()
    with database_of(configured) as (url, where):
        _bring_schema_up_to_date(configured, url)

        def announce() -> None:
            click.echo(
                f"Ostiary listens on {configured.url} · documentation {configured.url}/docs"
                f" · data in {where}"
            )

        try:
            server.serve(configured, url, announce)
        except server.AddressInUse as error:
            fail(str(error))


@main.command(name="migrate")
@click.option("--to", "revision", default="head", show_default=True, help="`base`, or a revision.")
@click.option("--grant-to", "role", help="The role by which the service runs; see SECURITY.md.")
def migrate_command(revision: str, role: str | None) -> None:
    """Bring the database's schema up to date, or to a revision."""
    with database_of(settings()) as (url, _), failures_told():
        move = asyncio.run(migrate(url, revision))
        if role is not None:
            asyncio.run(grant_to(url, role))
    click.echo(f"The schema was at {move.before or 'nothing'} and is at {move.after or 'nothing'}.")
    if role is not None:
        click.echo(f"{role} may do what the service needs, and no more.")


@main.command(name="sweep")
def sweep_command() -> None:
    """Delete dead sessions."""
    from service.auth.sweeping import sweep

    async def run() -> int:
        async with opened(url, configured) as parts:
            return await sweep(parts.database)

    configured = settings()
    with database_of(configured) as (url, _), failures_told():
        swept = asyncio.run(run())
    click.echo(f"{swept} dead sessions were deleted.")


@main.command()
@click.option("--check", is_flag=True, help="Write nothing; fail if the file is out of date.")
def openapi(*, check: bool) -> None:
    """Write the OpenAPI document to openapi/openapi.json."""
    from service.api.documents import openapi_text

    text = openapi_text()
    if not check:
        DOCUMENT.write_text(text, encoding="utf-8")
    elif not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != text:
        fail(f"{DOCUMENT} is out of date; run `ostiary openapi`.")


def _bring_schema_up_to_date(configured: Settings, url: str) -> None:
    """Migrate in development; in production refuse to start on a schema that is behind."""
    with failures_told():
        if not configured.is_production:
            asyncio.run(migrate(url))
        elif is_behind(asyncio.run(revision_of(url))):
            fail("The database's schema is behind this version: run `ostiary migrate` first.")
