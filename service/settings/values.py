"""Types of values: how each is written in an environment variable."""

from __future__ import annotations

import re
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Self

from msgspec import Struct

_DURATION = re.compile(r"([1-9][0-9]{0,8})(s|m|h|d)")
_RATE = re.compile(r"([1-9][0-9]{0,5})/([0-9]+[a-z])")
# As browsers serialise it: lower case, no path, no default port.
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

# A hundred years: beyond some thousands, times are out of the range of Python and PostgreSQL.
_MAX_DAYS = 36_500


class Duration(float):
    """A length of time in seconds, written ``90s``, ``15m``, ``12h`` or ``30d``."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a duration. Raises `ValueError`."""
        match = _DURATION.fullmatch(text)
        if match is None:
            raise ValueError("must look like 90s, 15m, 12h or 30d")
        seconds = int(match[1]) * _SECONDS[match[2]]
        if seconds > _MAX_DAYS * _SECONDS["d"]:
            raise ValueError(f"must be at most {_MAX_DAYS}d")
        return cls(seconds)

    def __str__(self) -> str:
        unit = next(unit for unit in reversed(_SECONDS) if self % _SECONDS[unit] == 0)
        return f"{self / _SECONDS[unit]:.0f}{unit}"


class Rate(Struct, frozen=True):
    """A number of attempts in ``period`` seconds, written ``10/15m``; ``0`` is no limit."""

    attempts: int
    period: Duration

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a rate. Raises `ValueError`."""
        if text == "0":
            return cls(0, Duration())
        match = _RATE.fullmatch(text)
        if match is None:
            raise ValueError("must look like 10/15m, or be 0 for no limit")
        return cls(int(match[1]), Duration.parse(match[2]))

    def __str__(self) -> str:
        return f"{self.attempts}/{self.period}" if self.attempts else "0"


class Origins(frozenset[str]):
    """Origins of web pages, separated by commas."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a list of origins. Raises `ValueError`."""
        origins = [origin.strip() for origin in text.split(",")]
        for origin in origins:
            if _ORIGIN.fullmatch(origin) is None:
                raise ValueError(f"must look like https://app.example.com, and {origin!r} does not")
        return cls(origins)

    def __str__(self) -> str:
        return ",".join(sorted(self))


class Networks(tuple[IPv4Network | IPv6Network, ...]):
    """Addresses and networks in CIDR notation, separated by commas."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a list of networks. Raises `ValueError`."""
        return cls(ip_network(part.strip()) for part in text.split(","))

    def __str__(self) -> str:
        return ",".join(map(str, self))


class Environment(StrEnum):
    """Where the service runs: it decides about `Secure` cookies, migrations and log format."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class ForwardedHeader(StrEnum):
    """The header in which a reverse proxy names the client."""

    X_FORWARDED_FOR = "x-forwarded-for"
    FORWARDED = "forwarded"


class SameSite(StrEnum):
    """The ``SameSite`` attribute of the session cookie."""

    LAX = "lax"
    STRICT = "strict"
    NONE = "none"


class LogFormat(StrEnum):
    """The form of a log line."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The lowest level that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
