"""``ostiary import-lucia``: import from a Lucia v2 site."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

import click

from service.cli.context import load_settings, provide_database, require_schema
from service.cli.failures import fail
from service.cli.progress import TerminalProgress
from service.cli.terminal import print_result
from service.lucia.importer import LuciaImport
from service.lucia.source import SourceUnreadable, open_source
from service.settings import Settings
from service.settings.database_url import has_password
from service.storage.bulk_load import LoadRunning, bulk_load
from service.transfer.loading import ImportCounts


@click.command(name="import-lucia")
@click.option(
    "--source",
    help="sqlite:///path or postgresql://… of the Lucia site, without a password: with one, set "
    "OSTIARY_LUCIA_SOURCE or OSTIARY_LUCIA_SOURCE_FILE.",
)
@click.option("--sessions", is_flag=True, help="Import live sessions too: users stay logged in.")
@click.option(
    "--emails-verified",
    is_flag=True,
    help="The site verified the addresses of its keys `email:…`: they can receive mail here.",
)
@click.option("--dry-run", is_flag=True, help="Import, report the result, and roll it back.")
@click.option("--json", "json", is_flag=True, help="Print the result as JSON, for scripts.")
def import_lucia(
    source: str | None, *, sessions: bool, emails_verified: bool, dry_run: bool, json: bool
) -> None:
    """Import users and keys from a Lucia v2 site.

    It can be run again, after an interruption for example; what has ended since stays ended.
    """
    settings = load_settings()
    source_url = _source_url(source, settings)
    progress = TerminalProgress()
    with provide_database(settings) as (url, _):
        require_schema(settings, url)
        try:
            counts = asyncio.run(
                _run(
                    settings,
                    url,
                    source_url,
                    progress,
                    sessions=sessions,
                    emails_verified=emails_verified,
                    dry_run=dry_run,
                )
            )
        except SourceUnreadable as error:
            fail(f"The source cannot be read: {error}.")
        except LoadRunning:
            fail("Another import into this database is running.")
    lines = [
        f"{each.table}s: {each.read} read, {each.new} new, {each.rejected} rejected"
        for each in counts
    ]
    if dry_run:
        lines.append("This was a dry run: nothing was changed.")
    print_result({"dry_run": dry_run, "tables": counts}, "\n".join(lines), json=json)


def _source_url(option: str | None, settings: Settings) -> str:
    """Return the URL of the source. Arguments are visible to other users of the machine."""
    if option is not None:
        if option.startswith(("postgresql://", "postgres://")) and has_password(option):
            fail(
                "--source must not contain a password, since other users of this machine can see "
                "arguments: set OSTIARY_LUCIA_SOURCE or OSTIARY_LUCIA_SOURCE_FILE instead."
            )
        return option
    if settings.lucia_source is not None:
        return settings.lucia_source
    if sys.stdin is None or not sys.stdin.isatty():
        fail("Name the source by --source, OSTIARY_LUCIA_SOURCE or OSTIARY_LUCIA_SOURCE_FILE.")
    typed: str = click.prompt("Source", hide_input=True, err=True)
    return typed


async def _run(  # noqa: PLR0913
    settings: Settings,
    url: str,
    source_url: str,
    progress: TerminalProgress,
    *,
    sessions: bool,
    emails_verified: bool,
    dry_run: bool,
) -> list[ImportCounts]:
    async with open_source(source_url) as source, bulk_load(url, dry_run=dry_run) as target:
        lucia_import = LuciaImport(source, target, progress, emails_verified=emails_verified)
        try:
            counts = [await lucia_import.users(), await lucia_import.keys()]
            if sessions:
                lifetime = timedelta(seconds=settings.sessions.max_lifetime)
                counts.append(await lucia_import.sessions(lifetime))
        finally:
            progress.finish()
    return counts
