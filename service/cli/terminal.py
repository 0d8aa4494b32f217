"""Text on a terminal, which must not obey it."""

from __future__ import annotations

import io
import os
import re
import sys
from typing import Any

import click
import msgspec

# Control characters (C0, DEL, C1), line and paragraph separators, marks that change the direction
# of the text after them, and halves of surrogate pairs.
_NOT_SHOWN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""Return a text with control characters as ``\uXXXX``, which JSON reads as the same text.

    A user chooses the user agent of a session, and a name that was imported is as it was.
    """
    return _NOT_SHOWN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def print_result(result: Any, text: str, *, json: bool) -> None:
    """Print a result as JSON, or as ``text``, whose parts have to be `printable`."""
    click.echo(printable(msgspec.json.encode(result, enc_hook=str).decode()) if json else text)


def replace_closed_error_stream() -> None:
    """Open standard error, to nowhere, if it was closed: the log needs one."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


def discard_output() -> None:
    """Let what is left of the output, which could not be written, be dropped at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def escape_unknown_characters() -> None:
    """Escape what the terminal's encoding does not have, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
