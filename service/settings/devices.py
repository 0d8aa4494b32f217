"""Known devices."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from service.settings.values import Duration


class DeviceSettings(Struct, frozen=True, kw_only=True):
    """How devices are recognised, and for how long."""

    prefix: ClassVar[str] = "DEVICE_"

    cookie_name: Annotated[
        str,
        Meta(
            description="Name of the cookie by which a device is recognised. In production it is "
            "prefixed with `__Host-`.",
            pattern=r"^[A-Za-z0-9_-]{1,64}$",
        ),
    ] = "auth_device"
    lifetime: Annotated[
        Duration,
        Meta(
            description="How long after the last log-in on it a device stays known. Browsers keep "
            "no cookie for longer than 400 days."
        ),
    ] = Duration.parse("365d")
