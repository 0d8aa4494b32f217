"""The progress of exports and imports, on a terminal."""

from __future__ import annotations

import sys
from typing import Any

import click

from service.cli.terminal import printable


class TerminalProgress:
    """Shows the progress, and what is told about rows, on standard error."""

    def __init__(self) -> None:
        self._bar: Any = None

    def start(self, table: str, size: int) -> None:
        """Start the progress bar of a table."""
        self.finish()
        self._bar = click.progressbar(length=size, label=f"{table}s", file=sys.stderr)
        self._bar.__enter__()

    def advance(self, size: int) -> None:
        """Advance the progress bar, if there is one."""
        if self._bar is not None:
            self._bar.update(size)

    def reject(self, table: str, row: str | int, reason: str) -> None:
        """Report a row that cannot be imported."""
        click.echo(printable(f"rejected: {table} {row!r}: {reason}"), err=True)

    def note(self, table: str, row: str | int, remark: str) -> None:
        """Report a row that is imported, and that sign-up would have refused."""
        click.echo(printable(f"noted: {table} {row!r} is imported as it is: {remark}"), err=True)

    def finish(self) -> None:
        """Finish the progress bar, if there is one."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None
