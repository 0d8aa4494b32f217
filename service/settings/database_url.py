"""URLs of PostgreSQL: what is wrong with one, in words that do not show its password."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

FORM = "must look like postgresql://user:password@host:port/database"

HINT = (
    f"{FORM}; in the user name and the password, write @ as %40, : as %3A, / as %2F, ? as %3F, "
    "# as %23, [ as %5B and % as %25"
)

_SCHEMES = {"postgresql", "postgres"}

# Parameters of libpq that name a file.
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")

# host, host:port or [IPv6]:port.
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\[\]:@]*)(:[0-9]{1,5})?")


def mistake_in(url: str) -> str | None:
    """Return what is wrong with a URL of PostgreSQL, or ``None``.

    A character of the password that is not escaped ends up in the host, the port, the database or
    the query, none of which are valid then.
    """
    if not url.startswith(tuple(f"{scheme}://" for scheme in _SCHEMES)):
        return FORM
    try:
        parts = urlsplit(url)
        # Otherwise `urlsplit` removes line breaks.
        valid = url.isprintable() and " " not in url and _is_valid(parts)
    except ValueError:
        valid = False
    return None if valid else HINT


def unreadable_file_in(url: str) -> str | None:
    """Return which file that a URL names cannot be read, and why; ``None`` if all can.

    asyncpg tells why only (0.31).
    """
    query = dict(parse_qsl(urlsplit(url).query))
    for name in _FILES:
        if path := query.get(name):
            try:
                Path(path).open("rb").close()
            except OSError as error:
                return f"{name}: {path} cannot be read: {error.strerror}"
    return None


def has_password(url: str) -> bool:
    """Return whether a URL shows a password; of an invalid one that is not excluded."""
    try:
        parts = urlsplit(url)
        query = {name for name, _ in parse_qsl(parts.query)}
    except ValueError:
        return True
    before_host = parts.netloc.rpartition("@")[0]
    return ":" in before_host or "password" in query or mistake_in(url) is HINT


def _is_valid(parts: SplitResult) -> bool:
    hosts = parts.netloc.rpartition("@")[2]
    if parts.query:
        parse_qsl(parts.query, strict_parsing=True)
    return (
        parts.netloc.count("@") <= 1
        and "@" not in parts.path + parts.query
        and not parts.fragment
        and all(_HOST.fullmatch(host) for host in hosts.split(","))
    )
