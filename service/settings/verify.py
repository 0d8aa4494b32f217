"""Requests to other applications, which a reverse proxy lets `/verify` decide about."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from service.settings.verify_policies import VerifyPolicies


class VerifySettings(Struct, frozen=True, kw_only=True):
    """What `/verify` asks for."""

    prefix: ClassVar[str] = "VERIFY_"

    policies_file: Annotated[
        VerifyPolicies | None,
        Meta(
            description="JSON file with the policies of `/verify/{policy}`, see "
            "[protect-your-app.md](protect-your-app.md). It is read at the start. Without it there "
            "is `/verify` only."
        ),
    ] = None
