"""Identities: accounts of users at OpenID providers."""

from __future__ import annotations

import re
from datetime import datetime
from uuid import UUID

from msgspec import Struct

# The method of a session that an account at a provider has proven has the provider's name in it.
OIDC_METHOD = re.compile(r"oidc:([a-z][a-z0-9]*)")


def oidc_method(provider: str) -> str:
    """Return the method of the sessions that a provider, by its name in the settings, proves."""
    return f"oidc:{provider}"


class ProvenIdentity(Struct, frozen=True, kw_only=True):
    """An account at a provider, as the provider has just proven it.

    Only ``issuer`` and ``subject`` tell whose it is. ``email`` and ``name`` are what the provider
    says of its user: suggestions, never anything that a user is found by. ``auth_time`` is when the
    provider authenticated the user, if it says so.
    """

    issuer: str
    subject: str
    email: str | None = None
    is_email_verified: bool = False
    name: str | None = None
    auth_time: datetime | None = None


class Identity(Struct, frozen=True, kw_only=True):
    """An account at a provider with which a user logs in."""

    id: UUID
    user_id: UUID
    issuer: str
    subject: str
    created_at: datetime
    last_used_at: datetime | None
