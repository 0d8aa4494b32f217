"""The session cookie."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Self

from msgspec import Meta, Struct

from service.settings.values import SameSite

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Browsers refuse cookies with these prefixes unless the attributes fit (RFC 6265bis).
_PREFIX = re.compile(r"(?i)__(host|secure|http|host-http)-")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# How browsers recognise an IPv4 address (WHATWG URL, section 3.5): its last part is a number.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

MAX_DOMAIN_LENGTH = 253


class CookieName(str):
    """The name of a cookie, without a prefix that browsers give a meaning to."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Validate a name. Raises `ValueError`."""
        if _NAME.fullmatch(text) is None:
            raise ValueError("must be 1 to 64 ASCII letters, digits, underscores or hyphens")
        if match := _PREFIX.match(text):
            raise ValueError(
                f"must not begin with `{match[0]}`: leave it out, for in production the service "
                "puts the strongest possible prefix before the name"
            )
        return super().__new__(cls, text)


class CookieDomain(str):
    """The ``Domain`` of a cookie: one that browsers accept (RFC 6265, section 5.3)."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Validate a domain; a dot before it is dropped. Raises `ValueError`."""
        domain = text.removeprefix(".")
        labels = domain.lower().split(".")
        if len(domain) > MAX_DOMAIN_LENGTH or not all(map(_LABEL.fullmatch, labels)):
            raise ValueError(
                "must look like example.com: ASCII letters, digits, hyphens and single dots; an "
                "internationalised domain in its form xn--…"
            )
        if _NUMBER.fullmatch(labels[-1]) is not None:
            raise ValueError(
                "browsers share no cookie between IP addresses: leave this variable unset"
            )
        if len(labels) == 1:
            raise ValueError(
                "browsers share no cookie across a top-level domain or `localhost`: name a domain "
                "below it, such as example.com, or leave this variable unset"
            )
        return super().__new__(cls, domain)


class CookieSettings(Struct, frozen=True, kw_only=True):
    """The name and the attributes of the session cookie."""

    prefix: ClassVar[str] = "COOKIE_"

    name: Annotated[
        CookieName,
        Meta(
            description="Name of the session cookie. In production it is prefixed with `__Host-`, "
            "or with `__Secure-` if there is a cookie domain."
        ),
    ] = CookieName("auth_session")
    host_prefix: Annotated[
        bool,
        Meta(
            description="`false` omits the prefix, for another program that reads the cookie by "
            "its name. Not recommended: a cookie without a prefix can be planted by another host "
            "of the site."
        ),
    ] = True
    domain: Annotated[
        CookieDomain | None,
        Meta(
            description="Share the cookie with all hosts of this domain, for applications on other "
            "hosts behind `/verify`. Not recommended otherwise: every program on any of these "
            "hosts receives the tokens of its visitors, and can plant cookies for the others; see "
            "[protect-your-app.md](protect-your-app.md#the-session-cookie-of-another-host)."
        ),
    ] = None
    samesite: Annotated[
        SameSite, Meta(description="`lax`, `strict` or `none` (production only).")
    ] = SameSite.LAX
