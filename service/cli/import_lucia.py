"""``ostiary import-lucia``: import from a Lucia v2 site."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

import click

from service.cli.context import load_settings, provide_database, require_schema
from service.cli.failures import fail
from service.cli.progress import TerminalProgress
from service.cli.terminal import print_result, printable
from service.lucia.importer import LuciaImport
from service.lucia.source import SourceUnreadable, open_source
from service.model.users import Provider
from service.settings import Settings
from service.settings.database_url import has_password
from service.storage.bulk_load import LoadRunning, bulk_load
from service.transfer.issuers import ISSUERS, mistake_in_issuer
from service.transfer.loading import ImportCounts

# Those of names, which stay keys.
NAMES = {Provider.USERNAME, Provider.EMAIL}


def _issuers(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Return the issuers by the providers of Lucia's keys, those that are certain included."""
    issuers = dict(ISSUERS)
    for text in given:
        provider, equals, issuer = text.partition("=")
        if not (provider and equals) or provider in NAMES or ":" in provider:
            raise click.BadParameter(f"{text!r} is not of the form PROVIDER=URL")
        if mistake := mistake_in_issuer(issuer):
            raise click.BadParameter(f"the issuer of {provider!r} {mistake}")
        issuers[provider] = issuer
    return issuers


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
@click.option(
    "--issuer",
    "issuers",
    multiple=True,
    metavar="PROVIDER=URL",
    callback=_issuers,
    help="The issuer whose accounts the keys `PROVIDER:…` name, so that they become identities. "
    "Those of google, github and apple are known. Can be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Import, report the result, and roll it back.")
@click.option("--json", "json", is_flag=True, help="Print the result as JSON, for scripts.")
def import_lucia(  # noqa: PLR0913
    source: str | None,
    *,
    sessions: bool,
    emails_verified: bool,
    issuers: dict[str, str],
    dry_run: bool,
    json: bool,
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
            counts, kept = asyncio.run(
                _run(
                    settings,
                    url,
                    source_url,
                    progress,
                    sessions=sessions,
                    emails_verified=emails_verified,
                    issuers=issuers,
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
    lines += [
        f"{number} keys of {printable(provider)} stay keys, with which nobody logs in: see --issuer"
        for provider, number in sorted(kept.items())
    ]
    if dry_run:
        lines.append("This was a dry run: nothing was changed.")
    result = {"dry_run": dry_run, "tables": counts, "kept_keys": kept}
    print_result(result, "\n".join(lines), json=json)


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
    issuers: dict[str, str],
    dry_run: bool,
) -> tuple[list[ImportCounts], dict[str, int]]:
    async with open_source(source_url) as source, bulk_load(url, dry_run=dry_run) as target:
        lucia_import = LuciaImport(
            source, target, progress, emails_verified=emails_verified, issuers=issuers
        )
        try:
            counts = [await lucia_import.users(), await lucia_import.keys()]
            if sessions:
                lifetime = timedelta(seconds=settings.sessions.max_lifetime)
                counts.append(await lucia_import.sessions(lifetime))
        finally:
            progress.finish()
    return counts, dict(lucia_import.kept)
