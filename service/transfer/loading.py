"""The machinery of every import: batches are converted, loaded, counted and told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

from msgspec import Struct

from service.storage.bulk_load import Loaded
from service.transfer.rejections import RowRejected

RawT = TypeVar("RawT")
RowT = TypeVar("RowT")

# The number of a row in its batch, and what is told about it.
Remark: TypeAlias = tuple[int, str]


class ImportCounts(Struct, kw_only=True):
    """The rows of a table that were read, newly inserted and rejected.

    All other rows existed already, or are sessions that have ended.
    """

    table: str
    read: int = 0
    new: int = 0
    rejected: int = 0


class ProgressReporter(Protocol):
    """Receives the progress of an import."""

    def start(self, table: str, size: int) -> None:
        """Start a table of this size."""

    def advance(self, size: int) -> None:
        """Count a part of the size as processed."""

    def reject(self, table: str, row: str | int, reason: str) -> None:
        """Report a row that cannot be imported.

        A session is identified by its user, since its id is a token.
        """

    def note(self, table: str, row: str | int, remark: str) -> None:
        """Report a row that is imported, and that sign-up would have refused."""


class Stage(Struct, Generic[RawT, RowT], frozen=True, kw_only=True):
    """How the rows of a table are imported.

    ``convert`` raises `RowRejected`, and returns remarks on a row that is imported; ``describe``
    names a row in reports, and ``size_of`` is what it counts for in the progress.
    """

    table: str
    convert: Callable[[int, RawT], tuple[RowT, list[str]]]
    load: Callable[[list[RowT]], Awaitable[Loaded]]
    describe: Callable[[RawT], str | int]
    size_of: Callable[[RawT], int] = lambda _: 1


async def import_all(
    stage: Stage[RawT, RowT],
    batches: AsyncIterator[Sequence[RawT]],
    progress: ProgressReporter,
) -> ImportCounts:
    """Import batches of rows. Returns how many there were."""
    counts = ImportCounts(table=stage.table)
    async for batch in batches:
        rows, noted, rejected = _convert(stage, batch)
        loaded = await stage.load(rows)
        not_loaded = {number for number, _ in loaded.rejected}
        for number, remark in noted:
            if number not in not_loaded:
                progress.note(stage.table, stage.describe(batch[number]), remark)
        for number, reason in sorted(rejected + loaded.rejected):
            progress.reject(stage.table, stage.describe(batch[number]), reason)
        counts.read += len(batch)
        counts.new += loaded.new
        counts.rejected += len(rejected) + len(loaded.rejected)
        progress.advance(sum(map(stage.size_of, batch)))
    return counts


def _convert(
    stage: Stage[RawT, RowT], batch: Sequence[RawT]
) -> tuple[list[RowT], list[Remark], list[Remark]]:
    """Return the converted rows, the remarks on some of them, and the rejections."""
    rows: list[RowT] = []
    noted: list[Remark] = []
    rejected: list[Remark] = []
    for number, row in enumerate(batch):
        try:
            converted, remarks = stage.convert(number, row)
        except RowRejected as error:
            rejected.append((number, str(error)))
        else:
            rows.append(converted)
            noted += [(number, remark) for remark in remarks]
    return rows, noted, rejected
