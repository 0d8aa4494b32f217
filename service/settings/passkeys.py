"""Passkeys: the relying party that they belong to, with its defaults."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from service.settings.relying_party import PasskeyOrigins, RelyingParty, RelyingPartyId


class PasskeySettings(Struct, frozen=True, kw_only=True):
    """The relying party, with defaults that depend on other settings."""

    prefix: ClassVar[str] = "PASSKEY_"

    rp_id: Annotated[
        RelyingPartyId | None,
        Meta(
            description="The domain that passkeys belong to (RP ID), `example.com`: that of the "
            "pages that use them, or one above it. A change of it makes all passkeys unusable. "
            "Default: `localhost` in development; none in production, where there are no passkeys "
            "without it."
        ),
    ] = None
    rp_name: Annotated[
        Annotated[str, Meta(pattern=r"^.{1,64}\Z")] | None,
        Meta(description="The name of the site that some authenticators show. Default: the RP ID."),
    ] = None
    origins: Annotated[
        PasskeyOrigins,
        Meta(
            description="Origins of the pages and applications that may use passkeys: https, on "
            "the RP ID or below it; http on `localhost` only; and "
            "`android:apk-key-hash:` with the base64url of the SHA-256 of the certificate that an "
            "Android application is signed with. Default: `https://` and the RP ID; those of "
            "`OSTIARY_ALLOWED_ORIGINS` that are possible; on `localhost` in development, the "
            "service itself."
        ),
    ] = PasskeyOrigins()

    def relying_party(
        self, *, default_id: RelyingPartyId | None, allowed: Iterable[str], own: str | None
    ) -> RelyingParty | None:
        """Return the relying party, with the defaults filled in; ``None`` without RP ID.

        ``allowed`` are the origins that may use the service from a browser, ``own`` is that of the
        service, where browsers reach it directly.
        """
        rp_id = self.rp_id or default_id
        if rp_id is None:
            return None
        possible = [f"https://{rp_id}", *allowed, *([own] if own else [])]
        return RelyingParty(
            id=rp_id,
            name=self.rp_name or rp_id,
            origins=self.origins or PasskeyOrigins(filter(rp_id.includes, possible)),
        )
