"""``ostiary import-lucia``: import from a Lucia v2 site."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import Any

import click
import msgspec

from service.cli.context import fail, load_settings, provide_database, reporting_errors
from service.lucia.importer import ImportCounts, LuciaImport
from service.lucia.source import SourceUnreadable, open_source
from service.settings import Settings
from service.storage.bulk_load import bulk_load


@click.command(name="import-lucia")
@click.option("--source", required=True, help="postgresql://… or sqlite:///path of the Lucia site.")
@click.option("--sessions", is_flag=True, help="Import live sessions too: users stay logged in.")
@click.option("--dry-run", is_flag=True, help="Import, report the result, and roll it back.")
@click.option("--json", "json", is_flag=True, help="Print the result as JSON, for scripts.")
def import_lucia(source: str, *, sessions: bool, dry_run: bool, json: bool) -> None:
    """Import users and keys from a Lucia v2 site. It can be run again after an interruption."""
    settings = load_settings()
    progress = TerminalProgress()
    with provide_database(settings) as (url, _), reporting_errors():
        try:
            counts = asyncio.run(
                _run(settings, url, source, progress, sessions=sessions, dry_run=dry_run)
            )
        except SourceUnreadable as error:
            fail(f"The source cannot be read: {error}")
    if json:
        click.echo(msgspec.json.encode({"dry_run": dry_run, "tables": counts}))
        return
    for each in counts:
        click.echo(f"{each.table}s: {each.read} read, {each.new} new, {each.rejected} rejected")
    if dry_run:
        click.echo("This was a dry run: nothing was changed.")


async def _run(  # noqa: PLR0913
    settings: Settings,
    url: str,
    source_url: str,
    progress: TerminalProgress,
    *,
    sessions: bool,
    dry_run: bool,
) -> list[ImportCounts]:
    async with open_source(source_url) as source, bulk_load(url, dry_run=dry_run) as target:
        lucia_import = LuciaImport(source, target, progress)
        counts = [await lucia_import.users(), await lucia_import.keys()]
        if sessions:
            lifetime = timedelta(seconds=settings.sessions.max_lifetime)
            counts.append(await lucia_import.sessions(lifetime))
    progress.finish()
    return counts


class TerminalProgress:
    """Shows the progress and the rejected rows on standard error."""

    def __init__(self) -> None:
        self._bar: Any = None

    def start(self, table: str, rows: int) -> None:
        """Start the progress bar of a table."""
        self.finish()
        self._bar = click.progressbar(length=rows, label=f"{table}s", file=sys.stderr)
        self._bar.__enter__()

    def advance(self, rows: int) -> None:
        """Advance the progress bar."""
        self._bar.update(rows)

    def reject(self, table: str, row: str, reason: str) -> None:
        """Report a row that cannot be imported."""
        click.echo(f"rejected: {table} {row!r}: {reason}", err=True)

    def finish(self) -> None:
        """Finish the progress bar, if there is one."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None
