"""Limits on log-ins and on sign-ups."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from service.settings.values import Duration, Rate


class RateLimitSettings(Struct, frozen=True, kw_only=True):
    """How many attempts are allowed; they are restored one by one over the period."""

    prefix: ClassVar[str] = ""

    log_in_failures_per_name: Annotated[
        Rate,
        Meta(
            description="Failed log-ins allowed for one user name or e-mail address, and for one "
            "user by both; they are restored one by one. Beyond that, only an address with no "
            "recent failure for the name has an attempt. Known devices are not affected. `0`: no "
            "limit."
        ),
    ] = Rate.parse("10/15m")
    log_in_failures_per_address: Annotated[
        Rate,
        Meta(
            description="Failed log-ins allowed from one address (for IPv6: from one /64; a /56 "
            "has twice, a /48 three times as many). Known devices are not affected. "
            "`0`: no limit."
        ),
    ] = Rate.parse("50/15m")
    log_in_failures_per_device: Annotated[
        Rate,
        Meta(
            description="Failed log-ins allowed for one user from a known device, and wrong "
            "current passwords in one session. `0`: no limit."
        ),
    ] = Rate.parse("10/15m")
    log_in_failures_total: Annotated[
        Rate,
        Meta(
            description="Failed log-ins, from all unknown devices, beyond which further attempts "
            "from unknown devices are delayed, and cost an address up to ten times as much. "
            "`0`: never."
        ),
    ] = Rate.parse("1000/15m")
    log_in_max_delay: Annotated[
        Duration,
        Meta(description="The longest delay beyond `OSTIARY_LOG_IN_FAILURES_TOTAL`."),
    ] = Duration.parse("3s")
    log_ins_per_name_and_address: Annotated[
        Rate,
        Meta(
            description="Log-ins allowed for one user name or e-mail address from one address, or "
            "from one known device, successful or not. `0`: no limit."
        ),
    ] = Rate.parse("120/15m")
    sign_ups_per_address: Annotated[
        Rate,
        Meta(
            description="Sign-ups allowed from one address (for IPv6: from one /64; a /56 has "
            "twice, a /48 three times as many). `0`: no limit."
        ),
    ] = Rate.parse("20/1h")
    mail_requests_per_address: Annotated[
        Rate,
        Meta(
            description="Requests from one address that cause the service to send a mail, such as "
            "a link to reset a password (for IPv6: from one /64; a /56 has twice, a /48 three "
            "times as many). Each user has as many of their own, in all sessions and on all known "
            "devices, and as many changes of the user name and exports, of which the user is "
            "notified by mail. `0`: no limit."
        ),
    ] = Rate.parse("20/1h")
