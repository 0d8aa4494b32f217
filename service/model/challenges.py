"""Challenges: questions that wait for their answers."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

import msgspec
from msgspec import Struct

from service.model.sessions import SecretHash

# Wrong answers after which a challenge can no longer be answered.
MAX_FAILURES = 5


class Purpose(StrEnum):
    """What the right answer allows. An answer for one purpose allows nothing else."""

    SIGN_UP = "sign_up"
    EMAIL = "email"
    REAUTHENTICATION = "reauthentication"
    PASSWORD_RESET = "password_reset"  # noqa: S105
    UNDO = "undo"
    SECOND_FACTOR = "second_factor"
    OIDC_SIGN_UP = "oidc_sign_up"


class ChallengeData(Struct, frozen=True, kw_only=True):
    """What the ``data`` of a challenge says, field by field."""

    @classmethod
    def of_json(cls, data: dict[str, Any]) -> Self:
        """Return what the ``data`` of a challenge says."""
        return msgspec.convert(data, cls)

    def as_json(self) -> dict[str, Any]:
        """Return it as the ``data`` of a challenge."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data


class Subject(Struct, frozen=True, kw_only=True):
    """What a challenge is bound to.

    With a ``security_version``, which needs a user, a change of the user's voids it; with a
    ``session_id``, it ends with the session, and is answered in that only. ``address`` is the
    prepared form of the e-mail address that it is about, ``display_address`` its display form.
    ``data`` is small, and never opens anything.
    """

    user_id: UUID | None = None
    security_version: int | None = None
    session_id: UUID | None = None
    address: str | None = None
    display_address: str | None = None
    data: dict[str, Any] = {}


class Challenge(Struct, frozen=True, kw_only=True):
    """A challenge that can be answered, or was. A decoy has no ``key_id``: it has no answer."""

    id: UUID
    purpose: Purpose
    subject: Subject
    key_id: str | None
    secret_hash: SecretHash | None
    expires_at: datetime
