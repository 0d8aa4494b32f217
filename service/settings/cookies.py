"""The session cookie."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from service.settings.values import SameSite


class CookieSettings(Struct, frozen=True, kw_only=True):
    """The name and the attributes of the session cookie."""

    prefix: ClassVar[str] = "COOKIE_"

    name: Annotated[
        str,
        Meta(
            description="Name of the session cookie. In production, without a cookie domain, "
            "it is prefixed with `__Host-`.",
            pattern=r"^[A-Za-z0-9_-]{1,64}$",
        ),
    ] = "auth_session"
    host_prefix: Annotated[
        bool,
        Meta(
            description="`false` omits the prefix `__Host-`: for the time after an import "
            "from Lucia with live sessions, whose cookies have none."
        ),
    ] = True
    domain: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9.-]{1,253}$")] | None,
        Meta(description="Share the cookie with all hosts of this domain. Not recommended."),
    ] = None
    samesite: Annotated[
        SameSite, Meta(description="`lax`, `strict` or `none` (production only).")
    ] = SameSite.LAX
