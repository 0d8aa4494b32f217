"""Access tokens (JWTs) for other programs: who issues them, and for whom."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self
from urllib.parse import urlsplit

from msgspec import Meta, Struct

MAX_AUDIENCE_LENGTH = 255

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Issuer(str):
    """The URL that tokens are issued under, compared character by character (RFC 9068, 4)."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL without query and fragment (RFC 8414, section 2). Raises `ValueError`."""
        try:
            parts = urlsplit(text)
            host = parts.hostname
        except ValueError:
            host = None
        if not host or not _is_clean(text) or set("?#@") & set(text):
            raise ValueError("must look like https://auth.example.com: without query and fragment")
        if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
            raise ValueError("must begin with https://; in development http://localhost will do")
        return cls(text)

    @property
    def is_secure(self) -> bool:
        """Whether it is a URL of https."""
        return self.startswith("https://")


class Audiences(frozenset[str]):
    """Names or URIs of programs, separated by commas (StringOrURI of RFC 7519, section 2)."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a list of audiences. Raises `ValueError`."""
        parts = [part.strip() for part in text.split(",")]
        return cls(_audience(part) for part in parts if part)

    def __str__(self) -> str:
        return ",".join(sorted(self))


def _audience(text: str) -> str:
    """Return an audience; what has a colon must be a URI. Raises `ValueError`."""
    if not _is_clean(text) or len(text) > MAX_AUDIENCE_LENGTH:
        raise ValueError(
            f"{text!r} is no audience: at most {MAX_AUDIENCE_LENGTH} ASCII characters, without "
            "spaces, quotes and backslashes"
        )
    if ":" in text:
        try:
            is_uri = bool(urlsplit(text).scheme)
        except ValueError:
            is_uri = False
        if not is_uri:
            raise ValueError(f"{text!r} has a colon, but is no URI")
    return text


def _is_clean(text: str) -> bool:
    return text.isascii() and text.isprintable() and not set(text) & set(" \"'<>\\")


class JWTSettings(Struct, frozen=True, kw_only=True):
    """The issuer and the audiences of access tokens; without them there are none."""

    prefix: ClassVar[str] = "JWT_"

    issuer: Annotated[
        Issuer | None,
        Meta(
            description="The claim `iss` of access tokens (JWTs): the https URL of the service, as "
            "verifiers are to have it, character by character. With `OSTIARY_JWT_AUDIENCES` it "
            "turns `POST /me/token` and `GET /.well-known/jwks.json` on; see "
            "[jwt.md](jwt.md)."
        ),
    ] = None
    audiences: Annotated[
        Audiences,
        Meta(
            description="Names or URIs of the programs for which users get access tokens: "
            "`billing,https://files.example.com`."
        ),
    ] = Audiences()
