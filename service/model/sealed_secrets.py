"""Secrets of the service that are kept encrypted."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class Sealed(Struct, frozen=True, kw_only=True):
    """An encrypted secret: the id of the key, and the nonce with the ciphertext."""

    key_id: str
    ciphertext: bytes


class SealedSecret(Struct, frozen=True, kw_only=True):
    """The row of a sealed secret."""

    id: UUID
    purpose: str
    sealed: Sealed


class KeyUse(Struct, frozen=True, kw_only=True):
    """What depends on the secret key with an id.

    ``derived_until`` is when the last code or link derived from it expires.
    """

    key_id: str
    sealed_secrets: int = 0
    derived_until: datetime | None = None
