"""``ostiary import-lucia``: moving in from a Lucia v2 site."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import Any

import click
import msgspec

from service.auth.lucia_import import LuciaImport, Tally
from service.commands.surroundings import database_of, fail, failures_told, settings
from service.settings import Settings
from service.storage.bulk_load import bulk_load
from service.storage.lucia_source import SourceUnreadable, open_source


@click.command(name="import-lucia")
@click.option("--source", required=True, help="postgresql://… or sqlite:///path of the Lucia site.")
@click.option("--sessions", is_flag=True, help="Move live sessions too: their holders stay in.")
@click.option("--dry-run", is_flag=True, help="Do all of it, tell what came of it, take it back.")
@click.option("--json", "json", is_flag=True, help="Tell the result in JSON, for scripts.")
def import_lucia(source: str, *, sessions: bool, dry_run: bool, json: bool) -> None:
    """Move users and keys from a Lucia v2 site. May be run again after an interruption."""
    configured = settings()
    witness = Terminal()
    with database_of(configured) as (url, _), failures_told():
        try:
            tallies = asyncio.run(
                _run(configured, url, source, witness, sessions=sessions, dry_run=dry_run)
            )
        except SourceUnreadable as error:
            fail(f"The source cannot be read: {error}")
    if json:
        click.echo(msgspec.json.encode({"dry_run": dry_run, "tables": tallies}))
        return
    for tally in tallies:
        click.echo(
            f"{tally.table}s: {tally.read} read, {tally.new} new, {tally.not_taken} not taken"
        )
    if dry_run:
        click.echo("This was a dry run: nothing was changed.")


async def _run(  # noqa: PLR0913
    configured: Settings,
    url: str,
    source_url: str,
    witness: Terminal,
    *,
    sessions: bool,
    dry_run: bool,
) -> list[Tally]:
    async with open_source(source_url) as source, bulk_load(url, dry_run=dry_run) as target:
        moving = LuciaImport(source, target, witness)
        tallies = [await moving.users(), await moving.keys()]
        if sessions:
            lifetime = timedelta(seconds=configured.session_max_lifetime)
            tallies.append(await moving.sessions(lifetime))
    witness.ends()
    return tallies


class Terminal:
    """Shows progress and refusals on standard error."""

    def __init__(self) -> None:
        self._bar: Any = None

    def begins(self, table: str, rows: int) -> None:
        self.ends()
        self._bar = click.progressbar(length=rows, label=f"{table}s", file=sys.stderr)
        self._bar.__enter__()

    def moved(self, rows: int) -> None:
        self._bar.update(rows)

    def refused(self, table: str, row: str, reason: str) -> None:
        click.echo(f"not taken: {table} {row!r}: {reason}", err=True)

    def ends(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None
