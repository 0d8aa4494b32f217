"""Errors of HTTP requests, beside those of the rules in `service.auth.errors`."""

from __future__ import annotations


class MalformedJSON(Exception):
    """The body is not JSON, or not JSON that is accepted; the message says why."""


class UnsupportedMediaType(Exception):
    """The ``Content-Type`` is not ``application/json``."""


class BodyTimeout(Exception):
    """The body was not received in time."""


class BodyIncomplete(Exception):
    """The client disconnected before the end of the body, or sent invalid chunked encoding."""


class OriginRejected(Exception):
    """A page of an origin that is not trusted sends an unsafe method."""
