"""Signing keys: they sign access tokens, one after another."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from service.model.sealed_secrets import SealedSecret


class SigningKey(Struct, frozen=True, kw_only=True):
    """A key with its public part, a JWK (RFC 7517). Its id is the ``kid`` of what it signs.

    It signs from ``signs_from`` to ``signs_until``, by the database's clock, unless it is revoked.
    """

    id: UUID
    public_key: dict[str, str]
    created_at: datetime
    signs_from: datetime
    signs_until: datetime | None
    revoked_at: datetime | None


class Signer(Struct, frozen=True, kw_only=True):
    """The key that signs at a moment: its id and its sealed private part."""

    key_id: UUID
    secret: SealedSecret


class Signing(Struct, frozen=True, kw_only=True):
    """What is known, at one moment, when a token is to be issued to a session.

    ``is_live``: whether the session lives, and its user may have one. ``signer`` is empty if no key
    signs.
    """

    now: datetime
    is_live: bool
    signer: Signer | None
