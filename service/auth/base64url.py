"""Base64url without padding (RFC 4648, section 5), as in the JSON of passkeys."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode


def encode(raw: bytes) -> str:
    """Return the text of some bytes."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return the bytes of a text. Raises `ValueError` for any text but the one `encode` returns."""
    # Python's decoder ignores foreign characters, what follows the padding, and trailing bits.
    raw = urlsafe_b64decode(f"{text}{'=' * (-len(text) % 4)}")
    if encode(raw) != text:
        raise ValueError("is not base64url without padding")
    return raw
