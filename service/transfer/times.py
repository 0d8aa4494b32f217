"""The times of a user of a file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from service.transfer.format import UserRow
from service.transfer.rejections import RowRejected

StructT = TypeVar("StructT", bound=Struct)

# Some systems keep the year 1, or 1900, for a time that they do not know; and asyncpg (0.32) takes
# the beginning of the year 1 for minus infinity.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

# By how much the clock of the other system may be ahead.
MAX_AHEAD = timedelta(days=1)


def latest_time() -> datetime:
    """Return the latest time that a file may have."""
    return datetime.now(UTC) + MAX_AHEAD


def with_checked_times(row: UserRow, latest: datetime) -> UserRow:
    """Return a user with all times in UTC. Raises `RowRejected`.

    No time is before 1970, or after ``latest``.
    """
    return _in_utc(
        replace(
            row,
            keys=[_in_utc(each, latest) for each in row.keys],
            identities=[_in_utc(each, latest) for each in row.identities],
            passkeys=[_in_utc(each, latest) for each in row.passkeys],
            recovery_codes=[_in_utc(each, latest) for each in row.recovery_codes],
            totp=None if row.totp is None else _in_utc(row.totp, latest),
        ),
        latest,
    )


def _in_utc(part: StructT, latest: datetime) -> StructT:
    times = {}
    for name in part.__struct_fields__:
        value = getattr(part, name)
        if isinstance(value, datetime):
            times[name] = _time(value, name, latest)
    return replace(part, **times)


def _time(time: datetime, name: str, latest: datetime) -> datetime:
    try:
        converted = time.astimezone(UTC)
    except OverflowError as error:
        raise RowRejected(f"its {name} is out of range") from error
    if converted < EARLIEST:
        raise RowRejected(f"its {name} is before 1970: leave out what is not known")
    if converted > latest:
        raise RowRejected(f"its {name} is in the future")
    return converted
