"""Types of values in the settings of OpenID providers."""

from __future__ import annotations

import re
from typing import Self
from urllib.parse import urlsplit

# Where Microsoft's issuer has the id of the user's tenant.
TENANT_ID = "{tenantid}"

# Below an issuer, its configuration (OpenID Connect Discovery 1.0, section 4).
DISCOVERY_PATH = "/.well-known/openid-configuration"

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# RFC 6749, sections 3.3 and 2.2; a comma separates the values of a variable.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_CLIENT_ID = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,255}")

# Signatures by a key pair (RFC 7518, section 3.1; RFC 8037; RFC 9864). None is by a shared secret.
SIGNATURE_ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class ProviderIssuer(str):
    """The URL of a provider, compared character by character (OpenID Connect Core, section 2)."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL without query and fragment. Raises `ValueError`."""
        is_url = is_provider_url(text, allow_loopback=True)
        if not is_url or set(text.replace(TENANT_ID, "")) & set("?{}"):
            raise ValueError(
                "must look like https://login.example.com, without query and fragment: the claim "
                "`iss` of the provider's ID tokens"
            )
        if text.endswith(DISCOVERY_PATH):
            raise ValueError(f"the issuer is what is before {DISCOVERY_PATH}: leave that out")
        return cls(text)

    @property
    def is_secure(self) -> bool:
        """Whether it is a URL of https."""
        return self.startswith("https://")


class ClientIds(tuple[str, ...]):
    """Client ids, separated by commas; the first one is that of the authorization code flow."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a list of client ids. Raises `ValueError`."""
        return cls(_each(text, _CLIENT_ID, "client id"))

    def __str__(self) -> str:
        return ",".join(self)


class Scopes(tuple[str, ...]):
    """Scopes, separated by spaces, as in an authorization request; ``-`` is none."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a list of scopes. Raises `ValueError`."""
        if text == "-":
            return cls()
        scopes = text.replace(",", " ").split()
        if not scopes or not all(map(_SCOPE.fullmatch, scopes)):
            raise ValueError("must look like openid email, or be - for none")
        return cls(scopes)

    def __str__(self) -> str:
        return " ".join(self) or "-"


class Tenants(frozenset[str]):
    """Ids of Microsoft's tenants, separated by commas."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a list of tenants. Raises `ValueError`."""
        tenants = [part.strip().lower() for part in text.split(",")]
        for each in tenants:
            if not is_tenant_id(each):
                raise ValueError(
                    f"{each!r} is not the id of a tenant, which is a UUID (the tenant of personal "
                    "accounts is 9188040d-6c67-4c5b-b112-36a304b66dad)"
                )
        return cls(tenants)

    def __str__(self) -> str:
        return ",".join(sorted(self))


class SignatureAlgorithms(tuple[str, ...]):
    """Algorithms of signatures, separated by commas."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a list of algorithms. Raises `ValueError`."""
        names = [part.strip() for part in text.split(",")]
        for name in names:
            if name not in SIGNATURE_ALGORITHMS:
                raise ValueError(f"{name!r} is none of {', '.join(SIGNATURE_ALGORITHMS)}")
        return cls(names)

    def __str__(self) -> str:
        return ",".join(self)


def is_tenant_id(text: str) -> bool:
    """Return whether a text is a UUID in lower case, as Microsoft writes those of tenants."""
    return _UUID.fullmatch(text) is not None


def is_provider_url(text: str, *, allow_loopback: bool) -> bool:
    """Return whether a text is a URL that a provider can be asked at: of https, without fragment.

    ``allow_loopback``: http will do on this machine.
    """
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    is_clean = text.isascii() and text.isprintable() and not set(text) & set(" \"'<>\\^`|#")
    if not host or not is_clean or "@" in parts.netloc:
        return False
    if text.startswith("https://"):
        return True
    return allow_loopback and text.startswith("http://") and host in _LOOPBACK


def _each(text: str, pattern: re.Pattern[str], what: str) -> list[str]:
    values = [part.strip() for part in text.split(",")]
    for value in values:
        if pattern.fullmatch(value) is None:
            raise ValueError(f"{value!r} is no {what}: of at most 255 ASCII characters, no spaces")
    return values
