"""What a value may be, in words: for a setting, or a field of a request, that has another one."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.inspect import BoolType, EnumType, IntType, NoneType, StrType, UnionType


def permitted(annotated: Any) -> str | None:
    """Return what values of an annotated type must be; ``None`` if that cannot be said."""
    kind = _kind(msgspec.inspect.type_info(annotated))
    if isinstance(kind, EnumType):
        return f"must be {alternatives([str(member.value) for member in kind.cls])}"
    if isinstance(kind, BoolType):
        return "must be true or false"
    if isinstance(kind, IntType) and kind.ge is not None and kind.le is not None:
        return f"must be a whole number from {kind.ge} to {kind.le}"
    if isinstance(kind, StrType) and kind.pattern is not None:
        return f"must match {kind.pattern}"
    return None


def alternatives(values: list[str]) -> str:
    """Return ``a, b or c``."""
    *others, last = values
    return f"{', '.join(others)} or {last}" if others else last


def _kind(info: msgspec.inspect.Type) -> msgspec.inspect.Type:
    if isinstance(info, msgspec.inspect.Metadata):
        return _kind(info.type)
    if isinstance(info, UnionType):
        return _kind(next(each for each in info.types if not isinstance(each, NoneType)))
    return info
