"""Ids in paths."""

from __future__ import annotations

from uuid import UUID


def parse_id(text: str, unknown: type[Exception]) -> UUID:
    """Parse an id. Raises ``unknown``: a malformed id is one that nothing has."""
    try:
        return UUID(text)
    except ValueError as error:
        raise unknown from error
