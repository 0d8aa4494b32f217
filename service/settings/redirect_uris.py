"""Redirect URIs: where a provider sends its user back to, with the answer (RFC 6749, 3.1.2)."""

from __future__ import annotations

import re
from typing import Self
from urllib.parse import urlsplit, urlunsplit

# RFC 3986, section 3.1; with a dot, so that it begins with a domain of its owner (RFC 8252, 7.1).
_CUSTOM_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")
_LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::([0-9]{1,5}))?(/[^#]*)?")

_MAX_PORT = 65535

_DEFAULT_PORTS = {"https": 443, "http": 80}

# RFC 3986, section 2.3.
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")

# The state of a flow has the redirect URI in it.
MAX_LENGTH = 512


class RedirectURIs(frozenset[str]):
    """Redirect URIs, separated by commas. Those of loopback addresses are kept without a port."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a list of redirect URIs. Raises `ValueError`."""
        parts = [part.strip() for part in text.split(",")]
        return cls(_without_loopback_port(_redirect_uri(part)) for part in parts if part)

    def allows(self, text: str) -> bool:
        """Return whether a URI is one of these, character by character.

        A native app listens on a loopback address on any port (RFC 8252, section 7.3).
        """
        return _without_loopback_port(text) in self

    def __str__(self) -> str:
        return ",".join(sorted(self))


def _without_loopback_port(text: str) -> str:
    """Return the URI of a loopback address without its port, and any other as it is."""
    loopback = _LOOPBACK.fullmatch(text)
    if loopback is None or int(loopback[2] or 0) > _MAX_PORT:
        return text
    return loopback[1] + (loopback[3] or "")


def normal_form(uri: str) -> str:
    """Return the one form of all URIs that mean the same (RFC 3986, sections 6.2.2 and 6.2.3).

    What is allowed is compared character by character, and not in this form.
    """
    parts = urlsplit(_ENCODED.sub(_decoded, uri))
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if parts.port not in {None, _DEFAULT_PORTS.get(parts.scheme)}:
        host = f"{host}:{parts.port}"
    return urlunsplit((parts.scheme, host, _without_dots(parts.path) or "/", parts.query, ""))


def _decoded(encoded: re.Match[str]) -> str:
    """Return an unreserved character as it is, and any other one encoded in capitals."""
    character = chr(int(encoded[1], 16))
    return character if _UNRESERVED.fullmatch(character) else encoded[0].upper()


def _without_dots(path: str) -> str:
    """Return a path without ``.`` and ``..`` (RFC 3986, section 5.2.4)."""
    root, *segments = path.split("/")
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    if segments and segments[-1] in {".", ".."}:
        kept.append("")
    return "/".join([root, *kept])


def _redirect_uri(text: str) -> str:
    """Return a URI to which a provider may send its user. Raises `ValueError`."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{text!r} is no URI") from None
    if not text.isascii() or not text.isprintable() or set(text) & set(" \"'<>\\^`{|}"):
        raise ValueError(f"{text!r} has characters that URIs do not have")
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a redirect URI has at most {MAX_LENGTH} characters")
    if "#" in text:
        raise ValueError(f"{text!r} has a fragment, and redirect URIs have none")
    if "@" in parts.netloc or "*" in text or port == 0:
        raise ValueError(f"{text!r} has a `*`, a user name or port 0, and redirect URIs have none")
    if not _is_permitted(text, host):
        raise ValueError(
            f"{text!r} must begin with https://, with http:// and a loopback address, or with a "
            "scheme of the app that has a dot in it, as com.example.app:/callback"
        )
    return text


def _is_permitted(text: str, host: str | None) -> bool:
    scheme, _, rest = text.partition(":")
    if scheme == "https":
        return bool(host)
    if scheme == "http":
        return host in {"127.0.0.1", "::1", "localhost"}
    return _CUSTOM_SCHEME.fullmatch(scheme) is not None and rest.startswith("/")
