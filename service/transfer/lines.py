"""Reading lines of any length, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from msgspec import Struct

# The longest user has 100 passkeys with RSA keys, 4 KiB of metadata, and 100 names.
MAX_LINE = 1024 * 1024


class Line(Struct, frozen=True, kw_only=True):
    """A line of a file; ``text`` is ``None`` if it is too long. ``size`` is in bytes."""

    number: int
    text: bytes | None
    size: int


def lines_of(file: BinaryIO) -> Iterator[Line]:
    """Iterate over the lines of a file, those that are empty left out."""
    number = 0
    while chunk := file.readline(MAX_LINE + 1):
        number += 1
        size, text = len(chunk), chunk.rstrip(b"\r\n")
        is_whole = len(text) <= MAX_LINE
        while not chunk.endswith(b"\n") and (chunk := file.readline(MAX_LINE)):
            is_whole, size = is_whole and not chunk.strip(b"\r\n"), size + len(chunk)
        if text.strip() or not is_whole:
            yield Line(number=number, text=text if is_whole else None, size=size)
