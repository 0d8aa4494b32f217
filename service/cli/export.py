"""``ostiary export``: all users, in a file."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import click

from service.auth.audit import OPERATOR, Event, record
from service.auth.secret_keys import Keyring
from service.cli.context import load_settings, provide_database, require_schema
from service.cli.failures import fail
from service.cli.progress import TerminalProgress
from service.settings import Settings
from service.settings.secret_key_file import development_secret_keys
from service.storage.connection import admin_options
from service.storage.transfer.pages import snapshot
from service.transfer.exporter import UserExport

WARNING = (
    "It holds password hashes{secrets}: keep it where the passwords are kept, and delete it after "
    "the import."
)


@click.command(name="export")
@click.argument("path", metavar="FILE|-")
@click.option(
    "--with-secrets",
    is_flag=True,
    help="Export the secrets of authenticator apps too, unsealed. Without them an app is still "
    "asked for, but no code is right.",
)
def export(path: str, *, with_secrets: bool) -> None:
    """Export all users to a new file that only its owner can read, or to standard output (-).

    It is what the database holds at one moment; the service may run. docs/transfer.md describes
    the format, and what is not in it.
    """
    settings = load_settings()
    keyring = _keyring(settings) if with_secrets else None
    progress = TerminalProgress()
    with provide_database(settings) as (url, _), _opened(path) as file:
        require_schema(settings, url)
        try:
            users = asyncio.run(_run(settings, url, file, progress, keyring))
        finally:
            progress.finish()
    record(Event.USERS_EXPORTED, OPERATOR, users=users, with_secrets=str(with_secrets).lower())
    place = "" if path == "-" else f" to {path}, which only its owner can read"
    secrets = " and the secrets of authenticator apps" if with_secrets else ""
    click.echo(f"{users} users were exported{place}. {WARNING.format(secrets=secrets)}", err=True)


async def _run(
    settings: Settings,
    url: str,
    file: BinaryIO,
    progress: TerminalProgress,
    keyring: Keyring | None,
) -> int:
    async with snapshot(url, admin_options(settings.database)) as source:
        return await UserExport(source, progress, keyring).run(file.write)


def _keyring(settings: Settings) -> Keyring:
    return Keyring(settings.secret_keys or development_secret_keys(settings.data_dir))


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """Open what is written to. A file has its name once it is complete, and replaces none."""
    if name == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(name)
    if path.exists() or path.is_symlink():
        fail(f"{path} exists already.")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        # Unlike a rename, a link replaces no file that has come meanwhile.
        os.link(partial, path)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()
