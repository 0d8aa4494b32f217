"""``ostiary import``: users from a file."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from service.auth.audit import OPERATOR, Event, record
from service.auth.secret_keys import Keyring
from service.cli.context import load_settings, provide_database, require_schema
from service.cli.failures import fail
from service.cli.progress import TerminalProgress
from service.cli.terminal import print_result
from service.settings import Settings
from service.settings.secret_key_file import development_secret_keys
from service.storage.bulk_load import LoadRunning, bulk_load
from service.transfer.importer import UserImport
from service.transfer.loading import ImportCounts
from service.transfer.rejections import FileRejected
from service.transfer.user_rows import UserRows

# The exit code if some users were rejected; 1 is that of failures, 2 that of wrong arguments.
SOME_REJECTED = 3


@click.command(name="import")
@click.argument("path", metavar="FILE|-")
@click.option("--dry-run", is_flag=True, help="Import, report the result, and roll it back.")
@click.option("--json", "json", is_flag=True, help="Print the result as JSON, for scripts.")
def import_users(path: str, *, dry_run: bool, json: bool) -> None:
    """Import users from a file of `ostiary export`, or from standard input (-).

    docs/transfer.md describes the format, into which users of other systems can be brought. It can
    be run again: existing users stay as they are, and those deleted since stay deleted. The exit
    code is 3 if some users were rejected.
    """
    settings = load_settings()
    progress = TerminalProgress()
    with provide_database(settings) as (url, _), _opened(path) as file:
        require_schema(settings, url)
        if path != "-":
            progress.start("user", Path(path).stat().st_size)
        try:
            counts = asyncio.run(_run(settings, url, file, progress, dry_run=dry_run))
        except FileRejected as error:
            fail(f"The file cannot be imported: {error}.")
        except LoadRunning:
            fail("Another import into this database is running.")
        finally:
            progress.finish()
    if not dry_run:
        record(Event.USERS_IMPORTED, OPERATOR, users=counts.new, rejected=counts.rejected)
    print_result(_result(counts, dry_run=dry_run), _text(counts, dry_run=dry_run), json=json)
    if counts.rejected:
        sys.exit(SOME_REJECTED)


async def _run(
    settings: Settings,
    url: str,
    file: BinaryIO,
    progress: TerminalProgress,
    *,
    dry_run: bool,
) -> ImportCounts:
    keyring = Keyring(settings.secret_keys or development_secret_keys(settings.data_dir))
    async with bulk_load(url, dry_run=dry_run) as target:
        rows = UserRows(keyring, settings.argon2)
        return await UserImport(target, rows, progress).run(file)


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
        return
    with Path(name).open("rb") as file:
        yield file


def _result(counts: ImportCounts, *, dry_run: bool) -> dict[str, int | bool]:
    return {
        "dry_run": dry_run,
        "read": counts.read,
        "new": counts.new,
        "unchanged": _unchanged(counts),
        "rejected": counts.rejected,
    }


def _text(counts: ImportCounts, *, dry_run: bool) -> str:
    text = (
        f"{counts.read} users were read: {counts.new} new, {_unchanged(counts)} unchanged, "
        f"{counts.rejected} rejected"
    )
    return f"{text}\nThis was a dry run: nothing was changed." if dry_run else text


def _unchanged(counts: ImportCounts) -> int:
    return counts.read - counts.new - counts.rejected
