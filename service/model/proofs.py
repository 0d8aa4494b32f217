"""Proofs: what has proven a user, before a session is opened."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from service.model.sessions import FACTOR_METHODS, Method
from service.model.users import Key, User


class Proof(Struct, frozen=True, kw_only=True):
    """What has proven a user, and the security version of theirs from before.

    ``key`` is the one whose password was verified, or set; without one another method has proven
    the user. ``method`` proves the user now; ``earlier`` are those before, with their times. It
    ``counts_as_factor`` if the operator trusts a provider to ask for one. ``proven_at`` is when a
    provider authenticated the user, if that may be before now.
    """

    user: User
    security_version: int
    method: str
    earlier: dict[str, datetime] = {}
    key: Key | None = None
    counts_as_factor: bool = False
    proven_at: datetime | None = None

    @classmethod
    def by_password(cls, key: Key, method: Method = Method.PASSWORD) -> Proof:
        """Return the proof of a user whose password was verified, or set by a link."""
        version = key.security_version
        return cls(user=key.user, security_version=version, method=method, key=key)

    @property
    def has_factor(self) -> bool:
        """Whether a factor has proven the user."""
        return self.counts_as_factor or self.method in FACTOR_METHODS
