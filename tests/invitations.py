"""Invitations that tests put into the database, as the service does."""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from uuid import uuid4

from tests.databases import execute

ADD = """
INSERT INTO invitation (id, secret_hash, address, display_address, roles, expires_at)
VALUES ($1, $2, lower($3), $3, $4, now() + make_interval(days => $5))
"""
EXPIRE = "UPDATE invitation SET expires_at = now()"


def invite(database_url: str, address: str | None = None, *roles: str, days: int = 7) -> str:
    """Add an invitation. Return its token."""
    invitation_id, secret = uuid4(), secrets.token_bytes(32)
    arguments = (invitation_id, sha256(secret).digest(), address, [*roles], days)
    execute(database_url, ADD, *arguments)
    return urlsafe_b64encode(invitation_id.bytes + secret).decode()
