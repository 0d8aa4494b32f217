"""Types of values: how each is written in an environment variable."""

from __future__ import annotations

import re
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Self

from msgspec import Struct

_DURATION = re.compile(r"([1-9][0-9]{0,8})(s|m|h|d)")
_RATE = re.compile(r"([1-9][0-9]{0,5})/([0-9]+[a-z])")
# The name of a header field (RFC 9110, section 5.6.2). A `*` would be taken for a pattern.
_TOKEN = re.compile(r"[!#$%&'+.^_`|~0-9a-z-]+")

# Bits before the IPv4 address in an IPv4-mapped IPv6 address.
_MAPPED_PREFIX = 96

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


class Delay(Duration):
    """A length of time that may be none, ``0s``."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a duration or ``0s``. Raises `ValueError`."""
        return cls() if text == str(cls()) else super().parse(text)

    def __str__(self) -> str:
        return super().__str__() if self else "0s"


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


class HeaderNames(frozenset[str]):
    """Names of header fields in lower case, separated by commas."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a list of names. Raises `ValueError`."""
        names = [part.strip().lower() for part in text.split(",")]
        for name in filter(None, names):
            if _TOKEN.fullmatch(name) is None:
                raise ValueError(f"{name!r} is not the name of a header")
        return cls(filter(None, names))

    def __str__(self) -> str:
        return ",".join(sorted(self))


class Words(frozenset[str]):
    """Words, separated by commas; ``-`` is none."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a list of words. Raises `ValueError`."""
        if text == "-":
            return cls()
        words = [word.strip() for word in text.split(",")]
        if not all(words):
            raise ValueError("must look like admin,root or be - for none")
        return cls(words)

    def __str__(self) -> str:
        return ",".join(sorted(self)) or "-"


class Networks(tuple[IPv4Network | IPv6Network, ...]):
    """Addresses and networks in CIDR notation, separated by commas."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a list of networks. Raises `ValueError`."""
        parts = [part.strip() for part in text.split(",")]
        return cls(_network(part) for part in parts if part)

    def __str__(self) -> str:
        return ",".join(map(str, self))


def _network(text: str) -> IPv4Network | IPv6Network:
    """Return a network; an IPv4-mapped one as IPv4, as clients' addresses are. Raises `ValueError`.

    Addresses are compared without zone, so a network has none either.
    """
    if "%" in text:
        raise ValueError(f"{text!r} has a zone; addresses are compared without")
    network = ip_network(text.removeprefix("[").removesuffix("]"))
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is not None and network.prefixlen >= _MAPPED_PREFIX:
        return IPv4Network((mapped, network.prefixlen - _MAPPED_PREFIX))
    return network


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
