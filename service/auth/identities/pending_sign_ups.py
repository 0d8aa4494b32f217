"""Sign-ups that wait for a person to say that they want an account."""

from __future__ import annotations

from typing import Any, Self

import msgspec
from msgspec import Struct


class PendingSignUp(Struct, frozen=True, kw_only=True):
    """The account at a provider, by its name in the settings, that a person has proven."""

    provider: str
    issuer: str
    subject: str

    @classmethod
    def of_json(cls, data: dict[str, Any]) -> Self:
        """Return the sign-up that is the ``data`` of a challenge."""
        return msgspec.convert(data, cls)

    def as_json(self) -> dict[str, Any]:
        """Return it as the ``data`` of a challenge."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data
