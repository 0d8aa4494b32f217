"""The relying party of passkeys: its domain and its origins (Web Authentication, Level 3)."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Self
from urllib.parse import urlsplit

from msgspec import Struct

from service.settings.cookies import MAX_DOMAIN_LENGTH
from service.settings.origins import normalised_origin

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# What ends in a number is an IP address to browsers (WHATWG URL, section 3.5).
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

# An Android application has the SHA-256 of the certificate that it is signed with for an origin.
_ANDROID = "android:apk-key-hash:"
_HASH_LENGTH = 32

LOCALHOST = "localhost"


class RelyingPartyId(str):
    """A domain to which passkeys are bound, as browsers write it (section 5.1.2)."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Validate a domain. Raises `ValueError`."""
        labels = text.split(".")
        if len(text) > MAX_DOMAIN_LENGTH or not all(map(_LABEL.fullmatch, labels)):
            raise ValueError(
                "must look like example.com: a domain without scheme and port, of lower-case ASCII "
                "letters, digits, hyphens and single dots; an internationalised one in its form "
                "xn--…"
            )
        if _NUMBER.fullmatch(labels[-1]) is not None:
            raise ValueError("browsers have no passkeys for IP addresses: name a domain")
        return super().__new__(cls, text)

    def includes(self, origin: str) -> bool:
        """Return whether pages of an origin may use passkeys of this domain."""
        parts = urlsplit(origin)
        host = parts.hostname or ""
        return _is_secure(parts.scheme, host) and _is_within(host, self)


class PasskeyOrigins(frozenset[str]):
    """Origins of pages and Android applications, separated by commas.

    Each is kept as it is in the client data, where it is compared character by character.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a list of origins. Raises `ValueError`."""
        parts = [part.strip() for part in text.split(",")]
        return cls(_passkey_origin(part) for part in parts if part)

    def outside(self, rp_id: RelyingPartyId) -> list[str]:
        """Return the origins of pages that cannot use passkeys of a domain, sorted."""
        return sorted(
            each for each in self if not each.startswith(_ANDROID) and not rp_id.includes(each)
        )

    def __str__(self) -> str:
        return ",".join(sorted(self))


class RelyingParty(Struct, frozen=True, kw_only=True):
    """The site that passkeys belong to: a domain, its name, and the origins that may use them."""

    id: RelyingPartyId
    name: str
    origins: PasskeyOrigins


def _passkey_origin(text: str) -> str:
    """Return an origin as it is in the client data. Raises `ValueError`."""
    if text.startswith(_ANDROID):
        return _android_origin(text)
    origin = normalised_origin(text)
    parts = urlsplit(origin)
    if not _is_secure(parts.scheme, parts.hostname or ""):
        raise ValueError(
            f"{text!r} has no passkeys: browsers have them with https only, or on localhost"
        )
    return origin


def _android_origin(text: str) -> str:
    encoded = text.removeprefix(_ANDROID).rstrip("=")
    try:
        digest = urlsafe_b64decode(f"{encoded}=")
    except ValueError:
        digest = b""
    # Of the texts that are decoded to the same bytes, Android writes one.
    canonical = urlsafe_b64encode(digest).decode().rstrip("=")
    if len(digest) != _HASH_LENGTH or encoded != canonical:
        raise ValueError(f"{text!r} must end with the base64url of {_HASH_LENGTH} bytes")
    return _ANDROID + canonical


def _is_secure(scheme: str, host: str) -> bool:
    return scheme == "https" or (scheme == "http" and _is_within(host, LOCALHOST))


def _is_within(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")
