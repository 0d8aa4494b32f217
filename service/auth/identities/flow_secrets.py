"""Flow secrets: whoever begins a log-in at a provider holds one, and must show it in the end.

A browser keeps one in a cookie, for all its flows; a native app gets one for each. The provider and
the address bar never see it: with a code and a ``state`` alone nobody completes a flow in a browser
that did not begin it (RFC 9700, section 4.7).
"""

from __future__ import annotations

import re
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Self

SECRET_BYTES = 32

_FORM = re.compile(r"[A-Za-z0-9_-]{43}")


class FlowSecret:
    """A random secret, 43 characters of base64url. Its ``repr`` hides it."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return "FlowSecret(…)"

    @classmethod
    def issue(cls) -> Self:
        """Create a secret."""
        return cls(urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).rstrip(b"=").decode())

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse a secret. Returns ``None`` for any other text."""
        return cls(text) if _FORM.fullmatch(text) else None

    @property
    def hash(self) -> bytes:
        """The SHA-256 of the secret."""
        return sha256(self.text.encode()).digest()
