"""Rejections of rows: a bad row is told, and never ends the run."""

from __future__ import annotations

from service.auth.usernames import NOT_STORABLE


class RowRejected(Exception):
    """A row cannot be imported; the message says why, without anything secret."""


class FileRejected(Exception):
    """The whole file is not one that can be imported; the message says why."""


def require_storable(text: str, member: str) -> None:
    """Raise `RowRejected` for text that PostgreSQL cannot store."""
    if NOT_STORABLE.search(text):
        raise RowRejected(f"its {member} has a character that PostgreSQL cannot store")
