"""Cursors of keyset pagination: where the next page begins, newest first."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from litestar import Request

from service.auth.errors import FieldCode, InvalidField, ValidationFailed

SEVERAL_CURSORS = "There must be one cursor."

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def cursor_after(created_at: datetime, last_id: UUID) -> str:
    """Return the cursor of the page after a row, 32 characters of base64url."""
    microseconds = (created_at - _EPOCH) // _MICROSECOND
    return urlsafe_b64encode(microseconds.to_bytes(8, signed=True) + last_id.bytes).decode()


def parse_cursor(text: str) -> tuple[datetime, UUID]:
    """Return the creation time and the id in a cursor. Raises `ValidationFailed`."""
    try:
        raw = urlsafe_b64decode(text.encode("ascii"))
        microseconds = int.from_bytes(raw[:8], signed=True)
        return _EPOCH + microseconds * _MICROSECOND, UUID(bytes=raw[8:])
    except (ValueError, OverflowError) as error:
        raise invalid_cursor() from error


def invalid_cursor() -> ValidationFailed:
    """Return what to raise for a cursor that no page had."""
    invalid = InvalidField(FieldCode.NOT_ALLOWED, "Cursor must be the `next` of another page.")
    return ValidationFailed([invalid.of("cursor")])


def require_one_cursor(request: Request[Any, Any, Any]) -> None:
    """Raise `ValidationFailed` for several cursors: each reader might take another one."""
    if len(request.query_params.getall("cursor", [])) > 1:
        raise ValidationFailed([InvalidField(FieldCode.NOT_ALLOWED, SEVERAL_CURSORS).of("cursor")])
