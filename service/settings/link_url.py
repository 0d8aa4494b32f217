"""The URL of a page of the application, with a place for the token of a link."""

from __future__ import annotations

from typing import Self
from urllib.parse import urlsplit

TOKEN = "{token}"  # noqa: S105


class LinkURL(str):
    """An absolute URL with ``{token}`` in it."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL. Raises `ValueError`."""
        form = "must look like https://app.example.com/reset#token={token}"
        try:
            parts = urlsplit(text)
            is_absolute = parts.scheme in {"http", "https"} and bool(parts.hostname)
        except ValueError:
            is_absolute = False
        is_clean = text.isascii() and text.isprintable() and not set(text) & set(" \"'<>\\")
        if not is_absolute or not is_clean or "@" in parts.netloc:
            raise ValueError(form)
        if text.count(TOKEN) != 1 or TOKEN in parts.netloc or "{" in text.replace(TOKEN, ""):
            raise ValueError(f"{form}: with {TOKEN} once, after the host")
        return cls(text)

    @property
    def is_secure(self) -> bool:
        """Whether the link goes over TLS, or to this machine."""
        parts = urlsplit(self)
        return parts.scheme == "https" or parts.hostname in {"localhost", "127.0.0.1", "::1"}

    def with_token(self, token: str) -> str:
        """Return the link with a token, which needs no escaping."""
        return self.replace(TOKEN, token)
