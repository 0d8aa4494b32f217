"""Metadata of users: a JSON object that the application keeps with them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from service.auth.errors import FieldCode, InvalidField
from service.auth.usernames import NOT_STORABLE

# Of compact JSON, in UTF-8, with the numbers as PostgreSQL keeps and returns them: in digits, of
# which `1e-300` has three hundred.
MAX_BYTES = 4096
MAX_DEPTH = 32

# The integers that every reader of JSON can represent (RFC 7493, section 2.2). Larger numbers would
# come back rounded, or as another type.
MAX_NUMBER = 2**53 - 1


def require_metadata(value: dict[str, Any]) -> None:
    """Check what is to be kept; a number may be a `Decimal`. Raises `InvalidField`."""
    require_storable(value)
    if len(msgspec.json.encode(_in_digits(value))) > MAX_BYTES:
        raise _too_long()


def require_storable(value: Any, depth: int = 0) -> None:
    """Check a value within metadata, whatever its size. Raises `InvalidField`."""
    if isinstance(value, str):
        if NOT_STORABLE.search(value):
            raise InvalidField(FieldCode.NOT_ALLOWED, "Metadata must not contain U+0000.")
    elif isinstance(value, int | float | Decimal) and not -MAX_NUMBER <= value <= MAX_NUMBER:
        raise InvalidField(
            FieldCode.NOT_ALLOWED,
            "Metadata must not contain numbers beyond 2^53: write them as strings (RFC 7493).",
        )
    elif isinstance(value, dict | list):
        if depth >= MAX_DEPTH:
            raise InvalidField(
                FieldCode.NOT_ALLOWED, f"Metadata must not nest more than {MAX_DEPTH} deep."
            )
        members = [*value, *value.values()] if isinstance(value, dict) else value
        for member in members:
            require_storable(member, depth + 1)


def _in_digits(value: Any) -> Any:
    """Return a value whose numbers are encoded without an exponent. Raises `InvalidField`."""
    if isinstance(value, dict):
        return {name: _in_digits(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_in_digits(member) for member in value]
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return value
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    # Before it is written out: an exponent may ask for more digits than there is memory.
    if abs(number.adjusted()) > MAX_BYTES:
        raise _too_long()
    return msgspec.Raw(format(number, "f").encode())


def _too_long() -> InvalidField:
    return InvalidField(
        FieldCode.TOO_LONG,
        f"Metadata must have at most {MAX_BYTES} bytes of compact JSON, with numbers in digits.",
    )


def merged(target: Any, patch: Any) -> Any:
    """Return a value with a merge patch applied (RFC 7396, section 2).

    Objects are merged member by member, and null removes a member; anything else is replaced.
    """
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
