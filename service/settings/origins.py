"""Origins of web pages and applications, as browsers serialise them (RFC 6454, section 6.1)."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Self

# Of any scheme: https://app.example.com, capacitor://localhost, app://., chrome-extension://abc…
_SERIALISED = re.compile(r"[a-z][a-z0-9+.-]*://([A-Za-z0-9._~-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_PARTS = re.compile(r"(?P<scheme>[^:/?#]+)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.DOTALL)
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(:(?P<port>[0-9]*))?")

MAX_PORT = 65535

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Origins(frozenset[str]):
    """Origins, separated by commas. Each is kept as browsers send it."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a list of origins. Raises `ValueError`."""
        parts = [part.strip() for part in text.split(",")]
        return cls(normalised_origin(part) for part in parts if part)

    def __str__(self) -> str:
        return ",".join(sorted(self))


def is_serialised_origin(text: str) -> bool:
    """Return whether a text has the form of an origin, other than the opaque ``null``."""
    return _SERIALISED.fullmatch(text) is not None


def normalised_origin(text: str) -> str:
    """Return an origin in the form in which browsers send it.

    Browsers send scheme and host in lower case, without the default port, and no path. Hosts of
    other schemes than http and https have no common form, and stay as they are. Raises
    `ValueError`, which says what cannot match.
    """
    parts = _PARTS.fullmatch(text)
    if parts is None:
        raise ValueError(f"must look like https://app.example.com, and {text!r} does not")
    scheme = parts["scheme"].lower()
    if parts["rest"] not in {"", "/"}:
        raise ValueError(f"{text!r} has a path, and origins have none")
    if "@" in parts["authority"]:
        raise ValueError("an origin has no user name or password")
    if "*" in parts["authority"]:
        raise ValueError(f"{text!r} is a pattern; list each origin")
    if scheme == "file":
        raise ValueError("pages of files have no origin of their own: browsers send `null`")
    authority = _AUTHORITY.fullmatch(parts["authority"])
    if authority is None or not authority["host"]:
        raise ValueError(f"must look like https://app.example.com, and {text!r} does not")
    origin = f"{scheme}://{_host(scheme, authority['host'])}{_port(scheme, authority['port'])}"
    if not is_serialised_origin(origin):
        raise ValueError(f"must look like https://app.example.com, and {text!r} does not")
    return origin


def _host(scheme: str, text: str) -> str:
    if not text.isascii():
        raise ValueError(f"{text!r} must be written as browsers send it, in ASCII: `xn--…`")
    if text.startswith("["):
        return f"[{IPv6Address(text[1:-1])}]"
    if scheme not in _DEFAULT_PORTS:
        return text
    # What ends in a number is an IPv4 address to browsers, which send it in the usual form.
    is_number = text.rpartition(".")[2].isdecimal()
    return str(IPv4Address(text)) if is_number else text.lower()


def _port(scheme: str, text: str | None) -> str:
    if not text:
        return ""
    port = int(text)
    if not 0 < port <= MAX_PORT:
        raise ValueError(f"{text} is not a port")
    return "" if port == _DEFAULT_PORTS.get(scheme) else f":{port}"
