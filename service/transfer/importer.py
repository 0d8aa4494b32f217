"""The import of a file of users."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import BinaryIO, TypeAlias

from service.storage.bulk_load import BulkLoad, Loaded
from service.storage.transfer.loads import load_users
from service.storage.transfer.rows import LoadedUser
from service.transfer.format import NAME, VERSION, Header, UserRow
from service.transfer.lines import Line, lines_of
from service.transfer.loading import ImportCounts, ProgressReporter, Stage, import_all
from service.transfer.rejections import FileRejected, RowRejected
from service.transfer.strict_json import read_line
from service.transfer.user_rows import UserRows

# Users in a transaction: a sign-up that wants one of their names waits for it.
BATCH = 2_000
# Bytes of lines in a batch, for the memory that they take.
BATCH_BYTES = 16 * 1024 * 1024

NumberedUser: TypeAlias = tuple[int, LoadedUser]


class UserImport:
    """Imports users into a database. Existing users stay unchanged, so it can be run again."""

    def __init__(self, target: BulkLoad, rows: UserRows, progress: ProgressReporter) -> None:
        self._target = target
        self._rows = rows
        self._progress = progress

    async def run(self, file: BinaryIO) -> ImportCounts:
        """Import a file. Raises `FileRejected`, before anything is imported."""
        lines = lines_of(file)
        _check_header(next(lines, None))
        stage = Stage(
            table="line",
            convert=self._convert,
            load=self._load,
            describe=_number_of,
            size_of=_size_of,
        )
        return await import_all(stage, _batches(lines), self._progress)

    def _convert(self, number: int, line: Line) -> tuple[NumberedUser, list[str]]:
        converted = self._rows.convert(read_line(line, UserRow))
        return (number, converted.rows), converted.remarks

    async def _load(self, users: list[NumberedUser]) -> Loaded:
        return await load_users(self._target.connection, users)


def _check_header(line: Line | None) -> None:
    expected = f'{{"format": "{NAME}", "version": {VERSION}}}'
    if line is None:
        raise FileRejected(f"it is empty; its first line has to be {expected}")
    try:
        header = read_line(line, Header)
    except RowRejected as error:
        raise FileRejected(f"its first line is not {expected}: {error}") from error
    if header.format != NAME:
        raise FileRejected(f"its first line is not {expected}")
    if header.version != VERSION:
        raise FileRejected(
            f"it has version {header.version} of the format, and this version of Ostiary reads "
            f"{VERSION}"
        )


async def _batches(lines: Iterator[Line]) -> AsyncIterator[list[Line]]:
    while batch := list(islice(_affordable(lines), BATCH)):
        yield batch


def _affordable(lines: Iterator[Line]) -> Iterator[Line]:
    """Iterate over lines until a batch of them has as many bytes as it may have."""
    size = 0
    for line in lines:
        yield line
        size += 0 if line.text is None else len(line.text)
        if size >= BATCH_BYTES:
            return


def _number_of(line: Line) -> int:
    return line.number


def _size_of(line: Line) -> int:
    return line.size
