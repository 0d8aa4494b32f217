"""Limits on failed log-ins and on sign-ups."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from service.settings.values import Rate


class RateLimitSettings(Struct, frozen=True, kw_only=True):
    """How many attempts are allowed; they are restored one by one over the period."""

    prefix: ClassVar[str] = ""

    log_in_failures_per_name: Annotated[
        Rate,
        Meta(
            description="Failed log-ins allowed for one user name; they are restored one by one. "
            "Beyond that, only an address with no recent failure for the name has an attempt. "
            "`0`: no limit."
        ),
    ] = Rate.parse("10/15m")
    log_in_failures_per_address: Annotated[
        Rate,
        Meta(
            description="Failed log-ins allowed from one address (for IPv6: from one /64). "
            "`0`: no limit."
        ),
    ] = Rate.parse("50/15m")
    sign_ups_per_address: Annotated[
        Rate,
        Meta(
            description="Sign-ups allowed from one address (for IPv6: from one /64). `0`: no limit."
        ),
    ] = Rate.parse("20/1h")
