"""Cursors of keyset pagination: where the next page of sessions begins."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from uuid import UUID

from service.auth.errors import FieldCode, InvalidField, ValidationFailed
from service.model.sessions import ListedSession

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def cursor_after(last: ListedSession) -> str:
    """Return the cursor of the page after a session, 32 characters of base64url."""
    microseconds = (last.session.created_at - _EPOCH) // _MICROSECOND
    return urlsafe_b64encode(microseconds.to_bytes(8) + last.session.id.bytes).decode()


def parse_cursor(text: str) -> tuple[datetime, UUID]:
    """Return the creation time and the id in a cursor. Raises `ValidationFailed`."""
    try:
        raw = urlsafe_b64decode(text.encode("ascii"))
        return _EPOCH + int.from_bytes(raw[:8]) * _MICROSECOND, UUID(bytes=raw[8:])
    except (ValueError, OverflowError) as error:
        invalid = InvalidField(FieldCode.NOT_ALLOWED, "Cursor must be the `next` of another page.")
        raise ValidationFailed([invalid.of("cursor")]) from error
