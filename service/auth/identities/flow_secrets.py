"""Flow secrets: whoever begins a log-in at a provider holds one, and must show it in the end.

A browser keeps one in a cookie, for all its flows; a native app gets one for each. The provider and
the address bar never see it: with a code and a ``state`` alone nobody completes a flow in a browser
that did not begin it (RFC 9700, section 4.7).
"""

from __future__ import annotations

import re
import secrets
from enum import StrEnum
from hashlib import sha256
from typing import Self

SECRET_BYTES = 32

_FORM = re.compile(r"[A-Za-z0-9_-]{43}")


class FlowClient(StrEnum):
    """What completes a flow."""

    BROWSER = "browser"
    NATIVE = "native"


class FlowSecret:
    """A random secret, 43 characters of base64url. Its ``repr`` hides it.

    What one kind of client holds is of no use as the other's: a cookie is not to be sent in a body,
    nor the secret of an app to be planted as a cookie.
    """

    __slots__ = ("client", "text")

    def __init__(self, text: str, client: FlowClient) -> None:
        self.text = text
        self.client = client

    def __repr__(self) -> str:
        return "FlowSecret(…)"

    @classmethod
    def issue(cls, client: FlowClient) -> Self:
        """Create a secret."""
        return cls(secrets.token_urlsafe(SECRET_BYTES), client)

    @classmethod
    def parse(cls, text: str, client: FlowClient) -> Self | None:
        """Parse a secret. Returns ``None`` for any other text."""
        return cls(text, client) if _FORM.fullmatch(text) else None

    @property
    def hash(self) -> bytes:
        """The SHA-256 of the client and the secret."""
        return sha256(f"{self.client} {self.text}".encode()).digest()
