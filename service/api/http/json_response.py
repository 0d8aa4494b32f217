"""Responses in JSON: UTF-8, times with six decimals, a newline at the end."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from litestar import Response
from litestar.types import Serializer

T = TypeVar("T")

MEDIA_TYPE = "application/json"

# msgspec (0.22) writes a time of a whole second without decimals. A text may look the same, which
# costs a second encoding but changes nothing.
_find_whole_second = re.compile(rb'T\d\d:\d\d:\d\dZ"').search

_encode = msgspec.json.Encoder().encode


class JSONResponse(Response[T]):
    """Litestar's response, with the JSON of `encode_json`."""

    def render(self, content: Any, media_type: str, enc_hook: Serializer | None = None) -> bytes:
        """Return the body."""
        if isinstance(content, msgspec.Struct | dict | list):
            return encode_json(content)
        return super().render(content, media_type)


def encode_json(value: Any) -> bytes:
    """Return a value in JSON."""
    body = _encode(value)
    if _find_whole_second(body):
        plain = msgspec.to_builtins(value, builtin_types=(datetime,), str_keys=True)
        body = _encode(_with_decimals(plain))
    return body + b"\n"


def _with_decimals(value: Any) -> Any:
    """Return a value with each time in it as a text with six decimals."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, dict):
        return {key: _with_decimals(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_with_decimals(member) for member in value]
    return value
