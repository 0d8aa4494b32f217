"""Failures: every one that can be foreseen is told in a line, with exit code 1."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from service.auth.errors import AuthError, SchemaBehind, SecretKeyMissing, ValidationFailed
from service.auth.hashing.process import HashProcessDied
from service.cli.terminal import (
    discard_output,
    escape_unknown_characters,
    printable,
    replace_closed_error_stream,
)
from service.storage.errors import INSUFFICIENT_PRIVILEGE, DatabaseUnavailable, StatementRefused
from service.storage.privileges import NoSuchRole
from service.storage.schema import UnknownRevision


class ReportingGroup(click.Group):
    """A command with subcommands, which reports the failures of all of them."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a subcommand."""
        replace_closed_error_stream()
        escape_unknown_characters()
        with reporting_failures():
            return super().invoke(ctx)


@contextmanager
def reporting_failures() -> Iterator[None]:
    """Print a failure, and exit with code 1. A defect still has its traceback."""
    try:
        yield
    except Exception as error:
        message = next((tell(error) for kind, tell in MESSAGES if isinstance(error, kind)), None)
        if message is None:
            raise
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            discard_output()
        fail(message)


def fail(message: str) -> NoReturn:
    """Print a message to standard error and exit with code 1."""
    click.echo("\n".join(printable(line) for line in message.split("\n")), err=True)
    sys.exit(1)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _unavailable(error: DatabaseUnavailable) -> str:
    if error.sqlstate == INSUFFICIENT_PRIVILEGE:
        return f"The database refused a statement: {_line(error)}"
    return f"The database is unavailable: {_line(error)}"


def _os_error(error: OSError) -> str | None:
    if error.errno == errno.EPIPE:  # The reader of the output has ended; click exits quietly.
        return None
    place = "" if error.filename is None else f"{error.filename}: "
    return f"{place}{error.strerror or _line(error)}"


MESSAGES: list[tuple[type[Exception], Callable[[Any], str | None]]] = [
    (
        SchemaBehind,
        lambda _: "The database lacks migrations of this version: run `ostiary migrate` first.",
    ),
    (DatabaseUnavailable, _unavailable),
    (StatementRefused, lambda error: f"The database refused a statement: {error.reason}"),
    (UnknownRevision, lambda error: f"This version has no such revision: {_line(error)}"),
    (
        NoSuchRole,
        lambda error: (
            f"The database has no role {error}; create it first: CREATE ROLE {error} LOGIN …"
        ),
    ),
    (HashProcessDied, lambda _: "The process that hashes passwords was killed."),
    (ValidationFailed, lambda error: "\n".join(each.message for each in error.errors)),
    (SecretKeyMissing, str),
    (AuthError, lambda error: error.message),
    (OSError, _os_error),
]
