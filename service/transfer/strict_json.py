"""JSON as strict as that of requests: each member once, UTF-8, nothing that is not JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NoReturn, TypeVar

import msgspec

from service.transfer.lines import MAX_LINE, Line
from service.transfer.rejections import RowRejected

T = TypeVar("T")


def read_line(line: Line, model: type[T]) -> T:
    """Return a line as a struct. Raises `RowRejected`.

    msgspec accepts a member twice (msgspec/msgspec#648, 0.22), so Python's parser reads it first.
    """
    if line.text is None:
        raise RowRejected(f"it is longer than {MAX_LINE} bytes")
    _parse(line.text)
    try:
        return msgspec.json.decode(line.text, type=model)
    except (msgspec.DecodeError, OverflowError) as error:
        raise RowRejected(_reason(error)) from error


def parse_object(text: bytes) -> dict[str, Any]:
    """Return a JSON object, with all digits of its numbers. Raises `RowRejected`."""
    document = _parse(text, Decimal)
    if not isinstance(document, dict):
        raise RowRejected("it is no JSON object")
    return document


def _parse(text: bytes, parse_float: Callable[[str], Any] = float) -> Any:
    try:
        document = json.loads(
            text.decode(),
            object_pairs_hook=_unique_members,
            parse_constant=_reject_constant,
            parse_float=parse_float,
        )
        json.dumps(document, ensure_ascii=False, allow_nan=False, default=float).encode()
    except RecursionError as error:
        raise RowRejected("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise RowRejected("it is not UTF-8") from error
    except UnicodeEncodeError as error:
        raise RowRejected("it has half of a surrogate pair") from error
    except (ValueError, ArithmeticError) as error:
        raise RowRejected("it is not JSON, or has a number that is too large") from error
    return document


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise RowRejected("it has a member twice")
    return members


def _reject_constant(constant: str) -> NoReturn:
    raise RowRejected(f"{constant} is not JSON")


def _reason(error: Exception) -> str:
    """Return what msgspec says, which has names of members and no values."""
    reason = str(error)
    return f"{reason[:1].lower()}{reason[1:]}"
