"""Errors of HTTP requests, beside those of the rules in `service.auth.errors`."""

from __future__ import annotations


class InvalidRequest(Exception):
    """The request is not valid HTTP; the message says why."""


class MalformedJSON(Exception):
    """The body is not JSON, or not JSON that is accepted; the message says why."""


class UnsupportedMediaType(Exception):
    """The ``Content-Type`` is none that is read here, or the body has a ``Content-Encoding``."""


class BodyTimeout(Exception):
    """The body was not received in time."""


class Rejected(Exception):
    """A request is refused because of where it comes from; ``logged`` is what the log says."""

    def __init__(self, message: str = "", **logged: str | None) -> None:
        super().__init__(message)
        self.logged = logged


class HostRejected(Rejected):
    """The service does not answer to this ``Host``."""


class OriginRejected(Rejected):
    """A page of an origin that is not trusted sends an unsafe method, or a preflight."""


class PreflightRejected(Rejected):
    """A preflight asks for a method or headers that are not allowed; the message says which."""
