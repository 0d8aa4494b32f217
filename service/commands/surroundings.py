"""What every command needs around it: settings, a database, and failures told in a line."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NoReturn

import click
from msgspec import Struct

from service.auth.administration import Administration
from service.auth.errors import AuthError, ValidationFailed
from service.auth.keys import Keys
from service.auth.sessions import Sessions
from service.logs import set_up_logs
from service.settings import InvalidSettings, Settings, read_settings
from service.storage.database import Database, DatabaseUnavailable
from service.storage.privileges import NoSuchRole
from service.storage.schema import UnknownRevision
from service.storage.session_lookups import SessionLookups


class Parts(Struct, frozen=True, kw_only=True):
    """What commands work with."""

    database: Database
    administration: Administration
    sessions: Sessions
    keys: Keys


def settings() -> Settings:
    """The settings; if they are wrong, all that is wrong is told, and the command ends."""
    try:
        read = read_settings(os.environ)
    except InvalidSettings as error:
        fail("The settings are wrong:\n" + "\n".join(f"  {line}" for line in error.errors))
    set_up_logs(read)
    return read


@contextmanager
def database_of(configured: Settings) -> Iterator[tuple[str, str]]:
    """The database's address, and where its data lie. Starts the embedded server if it is ours."""
    if configured.database_url is not None:
        yield configured.database_url, "the database of DATABASE_URL"
        return
    from service.storage.embedded import EmbeddedServer, EmbeddedServerFailed

    embedded = EmbeddedServer(configured.data_dir)
    try:
        embedded.start()
        yield embedded.url(), str(embedded.directory)
    except EmbeddedServerFailed as error:
        fail(str(error))
    finally:
        embedded.stop()


@asynccontextmanager
async def opened(url: str, configured: Settings) -> AsyncIterator[Parts]:
    """The parts of the service, on the database at ``url``."""
    from service.app import hasher_of, limits_of, periods_of

    database = Database(url, limits_of(configured))
    lookups = SessionLookups(url, limits_of(configured))
    hasher = hasher_of(configured)
    try:
        yield Parts(
            database=database,
            administration=Administration(database, hasher),
            sessions=Sessions(database, lookups, periods_of(configured)),
            keys=Keys(database),
        )
    finally:
        await hasher.close()
        await lookups.close()
        await database.close()


@contextmanager
def failures_told() -> Iterator[None]:
    """Tell what went wrong in a line or two, and end the command."""
    try:
        yield
    except DatabaseUnavailable as error:
        fail(f"The database does not answer: {error}")
    except UnknownRevision as error:
        fail(f"The schema is not one of this version's: {error}")
    except NoSuchRole as error:
        fail(f"The database has no role {error}; make it first: CREATE ROLE {error} LOGIN …")
    except ValidationFailed as error:
        fail("\n".join(each.message for each in error.errors))
    except AuthError as error:
        fail(f"{(type(error).__doc__ or error.code).splitlines()[0]}")


def fail(message: str) -> NoReturn:
    """End the command with exit code 1."""
    click.echo(message, err=True)
    sys.exit(1)
