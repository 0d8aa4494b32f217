"""Device tokens: by them a device is recognised on which a user has logged in before.

A device token opens nothing and skips no proof. An attempt from a known device has rate limits of
its own, so that attempts from elsewhere cannot exhaust them (OWASP Authentication Cheat Sheet,
"device cookie").
"""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from typing import Self

from service.model.devices import DeviceHash

TOKEN_BYTES = 32

_FORM = re.compile(r"[A-Za-z0-9_-]{43}")


class DeviceToken:
    """The random id of a device, 43 characters of base64url. Its ``repr`` hides it.

    The database stores its SHA-256: 256 random bits need no salt and no slow hash.
    """

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return "DeviceToken(…)"

    @classmethod
    def issue(cls) -> Self:
        """Create a token for a device that has none."""
        return cls(secrets.token_urlsafe(TOKEN_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse a token. Returns ``None`` for any other text: it is that of no known device."""
        return cls(text) if _FORM.fullmatch(text) else None

    @property
    def hash(self) -> DeviceHash:
        """The SHA-256 of the token."""
        return DeviceHash(sha256(self.text.encode()).digest())
