"""The URL of an SMTP server: where mails are handed over, and how they are protected."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import ip_address
from typing import Self
from urllib.parse import unquote, urlsplit

from msgspec import Struct

FORM = "must look like smtps://user:password@host:465 or smtp://user:password@host:587"


class Security(StrEnum):
    """How the connection is protected; the value is the scheme of the URL."""

    TLS = "smtps"
    STARTTLS = "smtp"
    NONE = "smtp+plain"


# RFC 8314, section 7.3; RFC 6409, section 3.1; RFC 5321, section 4.5.4.2.
PORTS = {Security.TLS: 465, Security.STARTTLS: 587, Security.NONE: 25}


class SMTPServer(Struct, frozen=True, kw_only=True):
    """An SMTP server. Its text forms hide user name and password."""

    security: Security
    host: str
    port: int
    username: str | None = None
    password: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL. Raises `ValueError`, whose message does not show the password."""
        try:
            parts = urlsplit(text)
            security, port = Security(parts.scheme), parts.port
        except ValueError:
            raise ValueError(FORM) from None
        hint = f"{FORM}; in user name and password, write @ as %40, : as %3A, / as %2F, % as %25"
        is_complete = parts.hostname and text.isprintable() and " " not in text
        if not is_complete or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError(hint)
        if (parts.username is None) != (parts.password is None) or "@" in (parts.password or ""):
            raise ValueError(hint)
        host = str(parts.hostname)
        if security is Security.NONE and not _is_loopback(host):
            raise ValueError("without TLS only to this machine: smtp+plain://127.0.0.1:25")
        return cls(
            security=security,
            host=host,
            port=port or PORTS[security],
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
        )

    def __str__(self) -> str:
        return f"{self.security}://{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"SMTPServer({self})"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
