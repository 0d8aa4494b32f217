"""The error of the embedded PostgreSQL."""

from __future__ import annotations


class EmbeddedPostgresFailed(Exception):
    """The server cannot be used; the message says why, and what to do."""
