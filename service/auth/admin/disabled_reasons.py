"""Reasons why users are disabled: text for operators, which the users do not see."""

from __future__ import annotations

from service.auth.errors import FieldCode, InvalidField
from service.auth.usernames import NOT_STORABLE

MAX_LENGTH = 500


def require_reason(text: str) -> None:
    """Check a reason. Raises `InvalidField`."""
    if not text:
        raise InvalidField(FieldCode.TOO_SHORT, "The reason must not be empty.")
    if len(text) > MAX_LENGTH:
        raise InvalidField(
            FieldCode.TOO_LONG, f"The reason must have at most {MAX_LENGTH} characters."
        )
    if NOT_STORABLE.search(text):
        raise InvalidField(FieldCode.NOT_ALLOWED, "The reason must not contain U+0000.")
