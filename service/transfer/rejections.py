"""Rejections of rows: a bad row is told, and never ends the run."""

from __future__ import annotations


class RowRejected(Exception):
    """A row cannot be imported; the message says why, without anything secret."""


class FileRejected(Exception):
    """The whole file is not one that can be imported; the message says why."""
