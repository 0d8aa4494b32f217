"""The command ``ostiary``."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import click

import service
from service.logs import set_up_logs
from service.settings import InvalidSettings, Settings, read_settings
from service.storage.database import DatabaseUnavailable
from service.storage.schema import UnknownRevision, is_behind, migrate, revision_of

DOCUMENT = Path(__file__).parent.parent / "openapi" / "openapi.json"


@click.group()
@click.version_option(service.__version__, prog_name="ostiary")
def main() -> None:
    """A self-hosted JSON REST auth service. The README lists its settings."""


@main.command()
def serve() -> None:
    """Answer requests until told to stop."""
    from service import server

    settings = _settings()
    with _database(settings) as (url, where):
        _bring_schema_up_to_date(settings, url)

        def announce() -> None:
            click.echo(
                f"Ostiary listens on {settings.url} · documentation {settings.url}/docs"
                f" · data in {where}"
            )

        try:
            server.serve(settings, url, announce)
        except server.AddressInUse as error:
            _fail(str(error))


@main.command(name="migrate")
@click.option("--to", "revision", default="head", show_default=True, help="`base`, or a revision.")
def migrate_command(revision: str) -> None:
    """Bring the database's schema up to date, or to a revision."""
    with _database(_settings()) as (url, _), _failures_told():
        move = asyncio.run(migrate(url, revision))
    click.echo(f"The schema was at {move.before or 'nothing'} and is at {move.after or 'nothing'}.")


@main.command()
@click.option("--check", is_flag=True, help="Write nothing; fail if the file is out of date.")
def openapi(*, check: bool) -> None:
    """Write the OpenAPI document to openapi/openapi.json."""
    from service.api.documents import openapi_text

    text = openapi_text()
    if not check:
        DOCUMENT.write_text(text, encoding="utf-8")
    elif not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != text:
        _fail(f"{DOCUMENT} is out of date; run `ostiary openapi`.")


def _settings() -> Settings:
    try:
        settings = read_settings(os.environ)
    except InvalidSettings as error:
        _fail("The settings are wrong:\n" + "\n".join(f"  {line}" for line in error.errors))
    set_up_logs(settings)
    return settings


@contextmanager
def _database(settings: Settings) -> Iterator[tuple[str, str]]:
    """The address of the database and where its data lie; the embedded server, if it is ours."""
    if settings.database_url is not None:
        yield settings.database_url, "the database of DATABASE_URL"
        return
    from service.storage.embedded import EmbeddedServer, EmbeddedServerFailed

    embedded = EmbeddedServer(settings.data_dir)
    try:
        embedded.start()
        yield embedded.url(), str(embedded.directory)
    except EmbeddedServerFailed as error:
        _fail(str(error))
    finally:
        embedded.stop()


def _bring_schema_up_to_date(settings: Settings, url: str) -> None:
    """Migrate in development; in production refuse to start on a schema that is behind."""
    with _failures_told():
        if not settings.is_production:
            asyncio.run(migrate(url))
        elif is_behind(asyncio.run(revision_of(url))):
            _fail("The database's schema is behind this version: run `ostiary migrate` first.")


@contextmanager
def _failures_told() -> Iterator[None]:
    try:
        yield
    except DatabaseUnavailable as error:
        _fail(f"The database does not answer: {error}")
    except UnknownRevision as error:
        _fail(f"The schema is not one of this version's: {error}")


def _fail(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(1)
