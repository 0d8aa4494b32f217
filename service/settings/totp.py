"""Authenticator apps (TOTP)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from service.settings.values import Rate


class TOTPSettings(Struct, frozen=True, kw_only=True):
    """What authenticator apps show, and how many wrong codes a user may type."""

    prefix: ClassVar[str] = "TOTP_"

    issuer: Annotated[
        str,
        Meta(
            description="What authenticator apps show beside the user's name: the site's name.",
            pattern=r"^[^:\x00-\x1f]{1,64}$",
        ),
    ] = "Ostiary"
    failures: Annotated[
        Rate,
        Meta(
            description="Wrong codes of authenticator apps allowed for one user, wherever codes "
            "are taken; each known device has as many of its own. Then no code is checked, and "
            "passkeys and recovery codes still work. `0`: no limit."
        ),
    ] = Rate.parse("10/1h")
    failures_long_term: Annotated[
        Rate,
        Meta(description="Beside `OSTIARY_TOTP_FAILURES`, over a longer time. `0`: no limit."),
    ] = Rate.parse("30/1d")

    @property
    def longest_period(self) -> float:
        """For how long a wrong code counts, in seconds."""
        return max(self.failures.period, self.failures_long_term.period)
